// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Extent, Slot } from '@mbl/formats';
import { compileForHost } from './host-compiler.ts';
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
  const own = join(import.meta.dirname, 'boot-loader');
  const program = await compileForHost(folder, {
    sources: [source],
    shim: join(own, 'u-boot.h'),
    main: join(own, 'main.c'),
    includes: [dirname(source)],
    included: true,
  });
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
