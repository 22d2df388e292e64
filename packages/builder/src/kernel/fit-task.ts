// SPDX-License-Identifier: Apache-2.0
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Extent } from '@mbl/formats';
import { type KeyProfile, type KeySet, MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';
import type { Task } from '../task.ts';
import { buildFit } from './fit.ts';
import { compress } from './kernel.ts';
import { type RootReference, rootReferenceCpio } from './root-reference.ts';

export interface FitRecipe {
  /** The board's device tree, in source form. */
  readonly deviceTree: string;
  /** The kernel's command line, signed with the device tree that carries it. */
  readonly kernelArguments: readonly string[];
  /** The place of the board's disk, below /sys/devices. */
  readonly disk: string;
  /** Of the operating system: `FitImages`. */
  readonly rollbackIndex: number;
  /** The initramfs's `/init`. */
  readonly init: string;
  readonly keys: KeySet;
  readonly publicKey: string;
  readonly profile: KeyProfile;
}

/** LARGEST_FIT of os/firmware/u-boot/mbl_boot.c. */
const largestFit = 64 * 1024 * 1024;

export type FitParts = Readonly<Record<'kernel' | 'initramfs' | 'fdt', Extent>>;

/** `fit.itb`, the signed FIT that boots one root file system; `fit.json`: where its parts are (`FitParts`). */
export function fitTask(recipe: FitRecipe): Task {
  const { deviceTree, kernelArguments, disk, rollbackIndex, init, keys, publicKey, profile } = recipe;
  return {
    name: 'fit',
    title: 'Signed kernel and initramfs',
    inputs: { deviceTree, kernelArguments, disk, rollbackIndex, publicKey, profile },
    code: import.meta.filename,
    files: [init],
    tools: ['image'],
    needs: ['kernel', 'root'],
    async run(context) {
      const { work, out } = context;
      const root = JSON.parse(
        await readFile(join(context.need('root'), 'root.json'), 'utf8'),
      ) as RootReference;
      const fdt = join(work, 'board.dtb');
      // In a string of a device tree's source, as in C.
      const line = kernelArguments.join(' ').replaceAll(/["\\]/g, '\\$&');
      const source = `${deviceTree}\n/ { chosen { bootargs = "${line}"; }; };\n`;
      await writeFile(join(work, 'board.dts'), source);
      await runCommand('dtc', ['-q', '-I', 'dts', '-O', 'dtb', '-o', fdt, join(work, 'board.dts')]);
      // Two segments, one behind the other: the large one does not change with the root file system.
      const reference = await compress(
        rootReferenceCpio(root, { keys: profile, disk }, await readFile(init)),
        9,
      );
      const base = await readFile(join(context.need('kernel'), 'initramfs.cpio.zst'));
      const initramfs = join(work, 'initramfs');
      await writeFile(initramfs, Buffer.concat([base, reference]));
      const kernel = join(work, 'Image.gz');
      await copyFile(join(context.need('kernel'), 'Image.gz'), kernel);
      const fit = join(out, 'fit.itb');
      await buildFit(work, { kernel, initramfs, fdt, rollbackIndex }, keys.keys.fit, fit);
      const bytes = await readFile(fit);
      if (bytes.length > largestFit)
        throw new MblError(
          'builder/fit-too-large',
          `the FIT has ${bytes.length} bytes, U-Boot reads ${largestFit}`,
          {
            remedy: 'Take modules out of kernel.initramfs-modules in the machine file.',
          },
        );
      const find = async (file: string): Promise<Extent> => {
        const part = await readFile(file);
        const offset = bytes.indexOf(part);
        if (offset < 0) throw new MblError('builder/fit-unsigned', 'mkimage left a part out of the FIT');
        return { offset, size: part.length };
      };
      const parts: FitParts = {
        kernel: await find(kernel),
        initramfs: await find(initramfs),
        fdt: await find(fdt),
      };
      await writeFile(join(out, 'fit.json'), `${JSON.stringify(parts, undefined, 2)}\n`);
    },
  };
}
