// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { readDeb } from '../debian/deb.ts';
import type { TarEntry } from '@mbl/blocks';
import { runCommand } from '../engine/run-command.ts';
import { modulesInLoadOrder } from '../kernel/modules.ts';

/** What the kernel knows of built-in modules, and the order of those that serve the same device. */
const LISTS = ['modules.builtin', 'modules.builtin.modinfo', 'modules.order'];

/** The text forms of aliases and symbols are for people; the loader reads the .bin files. */
const INDEXES = [
  ...['modules.dep', 'modules.dep.bin', 'modules.alias.bin', 'modules.symbols.bin', 'modules.softdep'],
  ...[
    'modules.builtin',
    'modules.builtin.bin',
    'modules.builtin.alias.bin',
    'modules.devname',
    'modules.order',
  ],
];

/**
 * The files of the root file system, by path, that hold the named kernel modules, all that they depend on, and depmod's indexes. `deb` is
 * a `linux-image-*` package. Modules are not compressed: the image compresses them, and a device loads them quicker. Throws `builder/unknown-module`.
 */
export const moduleFiles = async (
  deb: string,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<Map<string, Buffer>> => {
  const { files } = await readDeb(deb, 'the kernel package', signal);
  const release = releaseOf(files);
  const modules = await modulesInLoadOrder(files, names);
  const work = await mkdtemp(join(tmpdir(), 'mbl-modules-'));
  try {
    const place = `usr/lib/modules/${release}`;
    const folder = join(work, place);
    const result = new Map<string, Buffer>();
    await mkdir(join(folder, 'kernel'), { recursive: true });
    for (const { path, data } of files)
      for (const list of LISTS)
        if (path.endsWith(`/${release}/${list}`)) await writeFile(join(folder, list), data);
    for (const { name, data } of modules) {
      await writeFile(join(folder, 'kernel', `${name}.ko`), data);
      result.set(`${place}/kernel/${name}.ko`, data);
    }
    // -C: the settings of the machine's own depmod must not decide.
    await runCommand('depmod', ['-C', '/dev/null', '-b', join(work, 'usr'), release], { signal });
    for (const name of INDEXES) {
      const data = await readFile(join(folder, name)).catch(() => undefined);
      if (data) result.set(`${place}/${name}`, data);
    }
    return result;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
};

/** `6.12.117+deb13-arm64`: what `uname -r` will say. */
const releaseOf = (files: readonly TarEntry[]): string => {
  const image = files.find(({ path, type }) => type === 'file' && path.startsWith('boot/vmlinuz-'));
  if (image) return image.path.slice('boot/vmlinuz-'.length);
  throw new MblError('builder/bad-package', 'The kernel package holds no boot/vmlinuz-*.', {
    remedy: 'Name a linux-image package under "kernel: package:" in the machine file.',
  });
};
