// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import {
  access,
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { MblError } from '@mbl/trust';
import { readDeb } from '../debian/deb.ts';
import { downloadPackages, type PackageOptions } from '../debian/packages.ts';
import type { TarEntry } from '../debian/tar.ts';
import type { LockedPackage } from '../recipes/lock.ts';
import type { ToolEnvironment } from '../engine/current-tools.ts';
import { type ToolboxName, toolboxes, toolSuite } from './contents.ts';
import { relocateProgram } from './relocate.ts';

/** How a toolbox is made of its packages. A higher number makes every toolbox anew, and what tasks did with it. */
export const layout = 1;

/** The two hosts that a build runs on: Debian's name, its folder of libraries, the loader in it. */
const hosts = {
  x64: { debian: 'amd64', libraries: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2' },
  arm64: { debian: 'arm64', libraries: 'aarch64-linux-gnu', loader: 'ld-linux-aarch64.so.1' },
} as const;

/** This machine as a host of tools. Throws `builder/no-tools`. */
export function hostArchitecture(): 'amd64' | 'arm64' {
  return host().debian;
}

function host(): (typeof hosts)['x64' | 'arm64'] {
  const found = Object.entries(hosts).find(([name]) => name === process.arch)?.[1];
  if (found !== undefined && process.platform === 'linux') return found;
  throw new MblError('builder/no-tools', `There are no tools for ${process.platform} on ${process.arch}.`, {
    remedy: 'Build on Linux on x86_64 or aarch64.',
  });
}

/** Programs of one Debian release, the same on every host. */
export interface Toolbox extends ToolEnvironment {
  /** Folder with the unpacked packages, as below `/`. */
  readonly root: string;
}

export interface ToolboxOptions extends PackageOptions {
  /** Where toolboxes stand; default `<cache>/toolbox`. */
  readonly place?: string | undefined;
}

/**
 * Unpacks a resolved list of packages into `<place>/<name>-<digest>`, once, and binds every program to the libraries beside it
 * (`relocateProgram`): so they start each other, need no privileges, and see nothing of the host's distribution.
 */
export async function openToolbox(
  name: ToolboxName,
  packages: readonly LockedPackage[],
  options: ToolboxOptions,
): Promise<Toolbox> {
  const digest = createHash('sha256')
    .update(JSON.stringify([layout, toolboxes[name].links, packages.map(({ sha256 }) => sha256)]))
    .digest('hex');
  const root = join(options.place ?? join(options.cache, 'toolbox'), `${name}-${digest.slice(0, 16)}`);
  const complete = join(root, 'complete');
  if (!(await isThere(complete))) await fill(name, root, packages, options);
  // Marked as used now: what nobody uses is pruned.
  const now = new Date();
  await utimes(complete, now, now);
  return await describe(root);
}

async function describe(root: string): Promise<Toolbox> {
  const { libraries: triplet, loader } = host();
  const libraries = join(root, 'usr/lib', triplet);
  const servers = join(root, 'usr/lib/postgresql');
  const versions = await readdir(servers).catch((): string[] => []);
  const loaderPath = join(libraries, loader);
  const perl = await readdir(join(root, 'usr/share/perl')).catch((): string[] => []);
  const release = perl.find((entry) => /^\d+\.\d+$/.test(entry));
  return {
    root,
    path: [
      ...['usr/bin', 'usr/sbin'].map((each) => join(root, each)),
      ...versions.map((each) => join(servers, each, 'bin')),
    ],
    environment: {
      // Perl has the folders of its modules compiled in.
      ...(release !== undefined && {
        PERL5LIB: [
          'usr/share/perl5',
          `usr/lib/${triplet}/perl5/${release}`,
          `usr/lib/${triplet}/perl/${release}`,
          `usr/share/perl/${release}`,
          `usr/lib/${triplet}/perl-base`,
        ]
          .map((each) => join(root, each))
          .join(':'),
      }),
      // What the compiler for this machine links must find the toolbox's libraries as the toolbox's own programs do.
      ...((await isThere(join(root, 'usr/bin/gcc'))) && {
        HOSTCC: `gcc --sysroot=${root}`,
        HOSTLDFLAGS: `-Wl,--dynamic-linker=${loaderPath},-rpath=${libraries}`,
      }),
    },
  };
}

async function fill(
  name: ToolboxName,
  root: string,
  packages: readonly LockedPackage[],
  options: PackageOptions,
): Promise<void> {
  const paths = await downloadPackages(
    packages,
    { suite: toolSuite, architecture: hostArchitecture() },
    options,
  );
  options.progress?.(undefined, `unpacking ${packages.length} packages of tools`);
  await mkdir(dirname(root), { recursive: true });
  const fresh = await mkdtemp(`${root}.`);
  try {
    const place: Place = { fresh, root };
    // Two at a time: one waits for the decompressor while the other writes.
    const queue = [...paths];
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift())
        await unpack(next[1], next[0], place, options.signal);
    };
    await Promise.all([work(), work(), work()]);
    for (const [to, from] of Object.entries(toolboxes[name].links))
      await symlink(from, join(fresh, 'usr/bin', to));
    // What is linked with this folder as the system's root looks for libraries below /lib.
    for (const folder of ['lib', 'lib64']) await symlink(`usr/${folder}`, join(fresh, folder));
    await writeFile(join(fresh, 'complete'), '');
    // mkdtemp makes it private; PostgreSQL runs as another user when root starts it.
    await chmod(fresh, 0o755);
    // Another build may have been quicker: what it made is the same.
    await rename(fresh, root).catch(async (cause: unknown) => {
      if (!(await isThere(join(root, 'complete')))) throw cause;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Where a toolbox is unpacked, and where it will stand. */
interface Place {
  readonly fresh: string;
  readonly root: string;
}

/** Programs look nothing up here, and they are most of the files. */
const unused =
  /^(etc|var)\/|^usr\/share\/(doc|man|info|locale|lintian|bug|menu|bash-completion|zoneinfo)\/|\/llvmjit|\/bitcode\//;

async function unpack(
  path: string,
  name: string,
  place: Place,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deb = await readDeb(path, name, signal);
  const { libraries: triplet, loader } = host();
  const libraries = join(place.root, 'usr/lib', triplet);
  const inside = (entry: string): string => entry.replace(/^(bin|sbin|lib|lib64)\//, 'usr/$1/');
  const folders = new Set<string>();
  for (const entry of deb.files) {
    if (unused.test(entry.path) || entry.type === 'directory') continue;
    const target = join(place.fresh, inside(entry.path));
    if (!folders.has(dirname(target))) await mkdir(dirname(target), { recursive: true });
    folders.add(dirname(target));
    if (entry.type === 'file') {
      const program = isProgram(entry)
        ? relocateProgram(entry.data, join(libraries, loader), libraries)
        : undefined;
      // Owners and modes other than "executable" do not matter here.
      await writeFile(target, program ?? entry.data, { mode: (entry.mode & 0o111) === 0 ? 0o644 : 0o755 });
    } else if (entry.type === 'symlink') {
      const to = entry.link.startsWith('/')
        ? relative(dirname(inside(entry.path)), inside(entry.link.slice(1)))
        : entry.link;
      await symlink(to, target);
    } else if (entry.type === 'hardlink') {
      await link(join(place.fresh, inside(entry.link)), target);
    }
  }
}

/** Libraries carry an interpreter too, sometimes; they are found by name and stay as they are. */
function isProgram({ path, mode }: TarEntry): boolean {
  return (mode & 0o100) !== 0 && !/\.so(\.|$)/.test(path);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
