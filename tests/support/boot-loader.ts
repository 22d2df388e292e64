// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Extent, Slot } from '@mbl/formats';
import { root } from './mbl.ts';

const run = promisify(execFile);
const source = join(root, 'os/firmware/u-boot/mbl_boot.c');

/** A partition as bytes of a file. */
export interface PartitionFile extends Extent {
  readonly path: string;
}

export interface BootLoader {
  /**
   * One start of the board. `accepted`: the slots whose FIT has a signature that holds; nothing else starts. Returns the slot that was
   * started; undefined: none, the board restarts.
   */
  start(
    partitions: Readonly<Record<'state' | 'boot_a' | 'boot_b', PartitionFile>>,
    accepted: readonly Slot[],
  ): Promise<Slot | undefined>;
}

/** Compiles the boot loader's choice of a slot, `os/firmware/u-boot/mbl_boot.c` as it stands, for this machine. */
export async function compileBootLoader(folder: string): Promise<BootLoader> {
  const [headers, program] = [join(folder, 'headers'), join(folder, 'boot-loader')];
  const own = join(import.meta.dirname, 'boot-loader');
  // Each header of U-Boot that it names is the one of the host's shims; those of our own firmware are what they are.
  for (const [, name = ''] of (await readFile(source, 'utf8')).matchAll(/^#include <(.*)>$/gm)) {
    if (name.startsWith('mbl_')) continue;
    const path = join(headers, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `#include "${join(own, 'u-boot.h')}"\n`);
  }
  const { gcc, sysroot } = await nativeCompiler();
  const includes = ['-I', headers, '-I', dirname(source), '-I', join(root, 'os/firmware/include')];
  // Static: the libraries of a toolbox are not those of the machine.
  const flags = ['-std=gnu11', '-O1', '-static', `--sysroot=${sysroot}`];
  await run(gcc, [...flags, ...includes, '-o', program, join(own, 'main.c')]);
  return {
    async start(partitions, accepted) {
      const files = Object.entries(partitions).flatMap(([name, { path, offset, size }]) => [
        ...[name, path, String(offset), String(size)],
      ]);
      const { stdout } = await run(program, [accepted.join('') || '-', ...files]);
      const slot = /^(?:started ([ab])|restarts) \d+\n$/m.exec(stdout);
      if (slot === null) throw new Error(`the boot loader said: ${stdout}`);
      return slot[1] as Slot | undefined;
    },
  };
}

/** The machine's compiler, or that of the builder's tools, which lies in a folder with all that it needs. */
async function nativeCompiler(): Promise<{ gcc: string; sysroot: string }> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const gcc = join(folder, 'gcc');
    const sysroot = join(folder, '../..');
    const whole = await Promise.all(
      [gcc, join(sysroot, 'usr/include/stdio.h')].map(async (path) => await access(path)),
    ).then(
      () => true,
      () => false,
    );
    if (whole) return { gcc, sysroot };
  }
  throw new Error('no C compiler: run this by ./mbl test');
}
