// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import {
  access,
  chmod,
  link,
  mkdir,
  readdir,
  realpath,
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
import type { TarEntry } from '@mbl/blocks';
import type { LockedPackage } from '../recipes/lock.ts';
import type { ToolEnvironment } from '../engine/current-tools.ts';
import { lockFile } from '../engine/file-lock.ts';
import { type ToolboxName, toolboxes, toolSuite } from './contents.ts';
import { relocateProgram } from './relocate.ts';
import { isWhole, markWhole } from './whole.ts';

/** How a toolbox is made of its packages. A higher number makes every toolbox anew, and what tasks did with it. */
export const layout = 2;

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
 * (`relocateProgram`): so they start each other, need no privileges, and see nothing of the host's distribution. One that was damaged
 * since, or moved, is made anew. Throws `builder/cache-unusable` for a place that `checkPlace` refuses.
 */
export async function openToolbox(
  name: ToolboxName,
  packages: readonly LockedPackage[],
  options: ToolboxOptions,
): Promise<Toolbox> {
  const digest = createHash('sha256')
    .update(JSON.stringify([layout, toolboxes[name].links, packages.map(({ sha256 }) => sha256)]))
    .digest('hex');
  const place = options.place ?? join(options.cache, 'toolbox');
  checkPlace(place);
  await mkdir(place, { recursive: true });
  // By one name, whatever links lead there: the programs hold it.
  const root = join(await realpath(place), `${name}-${digest.slice(0, 16)}`);
  checkPlace(root);
  if (!(await isWhole(root))) {
    await using _lock = await lockFile(`${root}.lock`, { signal: options.signal });
    // Another process may have made it meanwhile.
    if (!(await isWhole(root))) await fill(name, root, packages, options);
  }
  // Marked as used now: what nobody uses is pruned. Not by who may not: then it is its owner who prunes.
  const now = new Date();
  await utimes(join(root, 'complete'), now, now).catch(() => {});
  return await describe(root);
}

/**
 * Refuses a folder whose name compilers and make take apart: they get paths below it in lists, options and rules, where nothing can be
 * quoted. Throws `builder/cache-unusable`.
 */
export function checkPlace(folder: string): void {
  const [found] = /[\s:;,=#$%'"`\\*?&|<>(){}[\]]/.exec(folder) ?? [];
  if (found === undefined) return;
  throw new MblError(
    'builder/cache-unusable',
    `Compilers cannot work in ${folder}: the name has a ${found.trim() === '' ? 'space' : found} in it.`,
    {
      remedy: 'Put the cache elsewhere, for example: MBL_CACHE=/var/tmp/mbl ./mbl build',
      details: { folder },
    },
  );
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
      // What the C library and OpenSSL load by themselves.
      GCONV_PATH: join(libraries, 'gconv'),
      OPENSSL_MODULES: join(libraries, 'ossl-modules'),
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
      // Bison, flex and dpkg-source have folders of theirs compiled in as well. The origins say whose patches a source gets.
      ...((await isThere(join(root, 'usr/bin/bison'))) && {
        BISON_PKGDATADIR: join(root, 'usr/share/bison'),
        M4: join(root, 'usr/bin/m4'),
        DPKG_DATADIR: join(root, 'usr/share/dpkg'),
        DPKG_ORIGINS_DIR: '/nonexistent',
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
  // What a killed process left; the lock is held.
  const fresh = `${root}.new`;
  await rm(fresh, { recursive: true, force: true });
  try {
    const place: Place = { fresh, root, folders: new Map() };
    // Some at a time: one waits for the decompressor while the other writes.
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
    await markWhole(fresh, root);
    await rm(root, { recursive: true, force: true });
    await rename(fresh, root);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Where a toolbox is unpacked, and where it will stand. */
interface Place {
  readonly fresh: string;
  readonly root: string;
  /** The folders that are there, or being made. */
  readonly folders: Map<string, Promise<void>>;
}

/** Everybody may read what is in a toolbox, whatever the umask: PostgreSQL runs as another user when root starts it. */
const modes = { folder: 0o755, program: 0o755, file: 0o644 } as const;

function makeFolder(path: string, place: Place): Promise<void> {
  let made = place.folders.get(path);
  if (made === undefined) {
    made = (async () => {
      if (path !== place.fresh) await makeFolder(dirname(path), place);
      await mkdir(path, { recursive: true });
      await chmod(path, modes.folder);
    })();
    place.folders.set(path, made);
  }
  return made;
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
  for (const entry of deb.files) {
    if (unused.test(entry.path) || entry.type === 'directory') continue;
    const target = join(place.fresh, inside(entry.path));
    await makeFolder(dirname(target), place);
    if (entry.type === 'file') {
      const program = isProgram(entry)
        ? relocateProgram(entry.data, join(libraries, loader), libraries)
        : undefined;
      // Owners and modes other than "executable" do not matter here.
      await writeFile(target, program ?? entry.data);
      await chmod(target, (entry.mode & 0o111) === 0 ? modes.file : modes.program);
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
