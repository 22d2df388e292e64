// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { access, chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MblError } from '@mbl/trust';
import type { LockedPackage } from '../recipes/lock.ts';
import { readDeb } from './deb.ts';
import { downloadPackages, type PackageOptions } from './packages.ts';

const LOADER = 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2';

/** Programs of one Debian release, the same on every host: unpacked to the cache and run through their own dynamic loader. */
export interface Toolbox {
  /** Folder with the unpacked packages. */
  readonly root: string;
  /** The words before the arguments of a program (`mkfs.erofs`). Throws `builder/missing-tool`. */
  command(program: string): Promise<[string, ...string[]]>;
}

/**
 * Unpacks amd64 packages (a resolved list, so that the lock decides their versions) into `<cache>/toolbox/<digest>`, once. The programs
 * see no other library than those.
 */
export const openToolbox = async (
  packages: readonly LockedPackage[],
  suite: string,
  options: PackageOptions,
): Promise<Toolbox> => {
  const digest = createHash('sha256')
    .update(packages.map(({ sha256 }) => sha256).join('\n'))
    .digest('hex');
  const root = join(options.cache, 'toolbox', digest.slice(0, 16));
  if (!(await isThere(join(root, 'complete')))) {
    const paths = await downloadPackages(packages, { suite, architecture: 'amd64' }, options);
    options.progress?.(undefined, `unpacking ${packages.length} packages of tools`);
    await mkdir(dirname(root), { recursive: true });
    const fresh = await mkdtemp(`${root}.`);
    try {
      for (const [name, path] of paths) await unpack(path, name, fresh, options.signal);
      await writeFile(join(fresh, 'complete'), '');
      // Another build may have been quicker: what it made is the same.
      await rename(fresh, root).catch(async (cause: unknown) => {
        if (!(await isThere(join(root, 'complete')))) throw cause;
      });
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  }
  return { root, command: (program) => toolCommand(root, program) };
};

const toolCommand = async (root: string, program: string): Promise<[string, ...string[]]> => {
  for (const folder of ['usr/bin', 'usr/sbin'])
    if (await isThere(join(root, folder, program))) {
      const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
      return [join(root, LOADER), '--library-path', libraries, join(root, folder, program)];
    }
  throw new MblError('builder/missing-tool', `The toolbox holds no program "${program}".`, {
    remedy: 'Add the Debian package that holds it to the toolbox list of the builder.',
  });
};

/** Only what programs need to run: programs, libraries. Owners and modes other than "executable" do not matter here. */
const unpack = async (
  path: string,
  name: string,
  root: string,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const deb = await readDeb(path, name, signal);
  for (const entry of deb.files) {
    if (!/^(usr\/)?(s?bin|lib|lib64)\//.test(entry.path)) continue;
    const target = join(root, entry.path.startsWith('usr/') ? entry.path : `usr/${entry.path}`);
    if (entry.type === 'file') {
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, entry.data);
      await chmod(target, entry.mode & 0o755);
    } else if (entry.type === 'symlink' && !entry.link.startsWith('/')) {
      await mkdir(dirname(target), { recursive: true });
      await symlink(entry.link, target);
    }
  }
};

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
