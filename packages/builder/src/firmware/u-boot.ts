// SPDX-License-Identifier: Apache-2.0
import { appendFile, copyFile, cp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MblError } from '@mbl/trust';
import type { LockedSource } from '../recipes/lock.ts';
import type { Task } from '../task.ts';
import { hostCompiler, make, prefixMap } from './make.ts';
import { sourceInputs, unpackInto } from './sources.ts';

export interface UBootRecipe {
  readonly cache: string;
  readonly source: LockedSource;
  /** Folder of headers that all firmware shares (`os/firmware/include`); absolute. */
  readonly include: string;
  /** The board's own configuration in U-Boot's tree, `qemu_arm64_defconfig`. */
  readonly defconfig: string;
  /** Fragments that go on top, absolute paths; later ones win. Beside the first: `mbl.env`, the compiled-in environment, and
   *  `mbl_boot.c`, the command that it runs. */
  readonly config: readonly string[];
}

/** U-Boot without its control device tree: `u-boot-nodtb.bin`, the code of BL33. */
export function uBootTask(recipe: UBootRecipe): Task {
  const { cache, source, include, defconfig, config } = recipe;
  const [first] = config;
  if (first === undefined)
    throw new MblError('builder/u-boot-config', 'the machine names no U-Boot configuration');
  const environment = join(dirname(first), 'mbl.env');
  const command = join(dirname(first), 'mbl_boot.c');
  return {
    name: 'u-boot',
    title: `U-Boot ${source.version}`,
    inputs: { source: sourceInputs(source), defconfig },
    code: import.meta.filename,
    files: [include, ...config, environment, command],
    tools: ['compile'],
    async run(context) {
      const tree = await unpackInto(context, cache, source);
      await cp(include, join(tree, 'include'), { recursive: true });
      await copyFile(environment, join(tree, 'mbl.env'));
      await copyFile(command, join(tree, 'cmd', 'mbl_boot.c'));
      await appendFile(join(tree, 'cmd', 'Makefile'), '\nobj-y += mbl_boot.o\n');
      const fragments = await Promise.all(config.map((file) => readFile(file, 'utf8')));
      const parts = [await readFile(join(tree, 'configs', defconfig), 'utf8'), ...fragments];
      await writeFile(join(tree, 'configs', 'mbl_defconfig'), parts.join('\n'));
      const cross = [
        'CROSS_COMPILE=aarch64-linux-gnu-',
        `KCFLAGS=${prefixMap(tree)}`,
        // Named, U-Boot does not compile one of its own, with a library for Python.
        'DTC=dtc',
        ...hostCompiler(),
      ];
      await make(tree, [...cross, 'mbl_defconfig']);
      await checkConfig(fragments.join('\n'), await readFile(join(tree, '.config'), 'utf8'));
      context.progress(undefined, 'compiling');
      await make(tree, [...cross, 'u-boot-nodtb.bin']);
      await copyFile(join(tree, 'u-boot-nodtb.bin'), join(context.out, 'u-boot-nodtb.bin'));
    },
  };
}

/** Kconfig drops a setting that it cannot meet without a word; a switched-off safeguard must not get through that way. */
async function checkConfig(asked: string, result: string): Promise<void> {
  const got = new Map<string, string>();
  for (const [, name = '', value = ''] of result.matchAll(/^(CONFIG_\w+)=(.*)$/gm)) got.set(name, value);
  const wanted = new Map<string, string>();
  for (const [, name = '', value = ''] of asked.matchAll(/^(CONFIG_\w+)=(.*)$/gm)) wanted.set(name, value);
  for (const [name, value] of wanted) {
    const actual = got.get(name) ?? 'n';
    if (actual !== value)
      throw new MblError(
        'builder/u-boot-config',
        `U-Boot's configuration has ${name}=${actual}, not ${value} as asked`,
        {
          remedy: 'Give the options that it depends on as well, or take it out of the fragment.',
        },
      );
  }
}
