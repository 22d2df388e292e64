// SPDX-License-Identifier: Apache-2.0
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip, zstdCompress, constants } from 'node:zlib';
import { MblError } from '@mbl/trust';
import { readDeb } from '../debian/deb.ts';
import { downloadPackages } from '../debian/packages.ts';
import type { LockedPackage } from '../recipes/lock.ts';
import type { TarEntry } from '@mbl/blocks';
import type { Task } from '../task.ts';
import { buildCpio, type CpioEntry } from './cpio.ts';
import { modulesInLoadOrder } from './modules.ts';

export interface KernelRecipe {
  readonly cache: string;
  readonly suite: string;
  /** The kernel's package and those that the initramfs takes programs and libraries from. */
  readonly packages: readonly LockedPackage[];
  readonly initramfsModules: readonly string[];
}

/** Debian packages of the initramfs, and what it takes from them. All libraries that the programs need, and no more. */
export const initramfsContents: Readonly<Record<string, readonly (readonly [from: string, to: string])[]>> = {
  'busybox-static': [['usr/bin/busybox', 'bin/busybox']],
  dmsetup: [['usr/sbin/dmsetup', 'bin/dmsetup']],
  'libdevmapper1.02.1': [library('libdevmapper.so.1.02.1')],
  libselinux1: [library('libselinux.so.1')],
  'libpcre2-8-0': [library('libpcre2-8.so.0')],
  libudev1: [library('libudev.so.1')],
  libcap2: [library('libcap.so.2')],
  libc6: [library('libc.so.6'), library('libm.so.6'), library('ld-linux-aarch64.so.1')],
};

const applets = [
  ...['sh', 'cat', 'dd', 'grep', 'insmod', 'ln', 'mkdir', 'mount', 'readlink', 'reboot', 'sha256sum'],
  ...['sleep', 'switch_root', 'tr', 'umount'],
];

function library(soname: string): [string, string] {
  return [`usr/lib/aarch64-linux-gnu/${soname}`, `lib/${soname}`];
}

/** The package that holds the kernel itself, behind the name of a meta package. */
export function kernelPackage(packages: readonly LockedPackage[]): LockedPackage {
  const found = packages.find(({ name }) => /^linux-image-\d/.test(name));
  if (found === undefined)
    throw new MblError(
      'builder/no-kernel',
      'the kernel package of the machine brings no linux-image package',
      {
        remedy:
          'Name a kernel package of Debian under kernel in the machine file, such as linux-image-arm64.',
      },
    );
  return found;
}

/**
 * `Image.gz`: Debian's kernel, compressed as U-Boot unpacks it quickest; `initramfs.cpio.zst`: programs, libraries and modules of the
 * initramfs, without what names a root file system.
 */
export function kernelTask(recipe: KernelRecipe): Task {
  const { cache, suite, packages, initramfsModules } = recipe;
  const kernel = kernelPackage(packages);
  return {
    name: 'kernel',
    title: `Linux ${kernel.version}`,
    inputs: { packages: packages.map(({ name, sha256 }) => ({ name, sha256 })), initramfsModules },
    code: import.meta.filename,
    tools: ['image'],
    async run(context) {
      const { signal } = context;
      const options = { cache, signal, log: (line: string) => context.log(line) };
      const paths = await downloadPackages(packages, { suite, architecture: 'arm64' }, options);
      const filesOf = async (name: string): Promise<readonly TarEntry[]> => {
        const path = paths.get(name);
        if (path === undefined)
          throw new MblError('builder/no-package', `the package ${name} was not resolved`);
        return (await readDeb(path, name, signal)).files;
      };
      const files = await filesOf(kernel.name);
      const image = files.find(({ path }) => path.startsWith('boot/vmlinuz-'));
      if (image === undefined) throw new MblError('builder/no-kernel', `${kernel.name} holds no kernel`);
      context.progress(undefined, 'compressing the kernel');
      await writeFile(join(context.out, 'Image.gz'), await promisify(gzip)(image.data, { level: 9 }));
      const entries: CpioEntry[] = [
        'bin',
        'dev',
        'etc',
        'lib',
        'modules',
        'proc',
        'run',
        'sys',
        'sysroot',
      ].map((path) => ({ path, type: 'directory' }));
      for (const [name, wanted] of Object.entries(initramfsContents))
        entries.push(...pick(name, await filesOf(name), wanted));
      for (const applet of applets)
        entries.push({ path: `bin/${applet}`, type: 'symlink', target: 'busybox' });
      const modules = await modulesInLoadOrder(files, initramfsModules);
      for (const { name, data } of modules) entries.push({ path: `modules/${name}.ko`, type: 'file', data });
      const order = modules.map(({ name }) => `${name}.ko\n`).join('');
      entries.push({ path: 'modules/order', type: 'file', data: Buffer.from(order) });
      await writeFile(join(context.out, 'initramfs.cpio.zst'), await compress(buildCpio(entries), 19));
    },
  };
}

/** zstd; the kernel unpacks initramfs segments of this kind (CONFIG_RD_ZSTD), one behind the other. */
export function compress(data: Uint8Array, level: number): Promise<Buffer> {
  return promisify(zstdCompress)(data, { params: { [constants.ZSTD_c_compressionLevel]: level } });
}

function pick(
  name: string,
  files: readonly TarEntry[],
  wanted: readonly (readonly [from: string, to: string])[],
): CpioEntry[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return wanted.map(([from, to]) => {
    let file = byPath.get(from);
    if (file?.type === 'symlink') file = byPath.get(join(from, '..', file.link));
    if (file?.type !== 'file')
      throw new MblError('builder/initramfs-content', `the package ${name} has no file ${from} any more`, {
        remedy: 'Correct the list of the initramfs in packages/builder/src/kernel/kernel.ts.',
      });
    return { path: to, type: 'file', data: file.data, executable: true };
  });
}
