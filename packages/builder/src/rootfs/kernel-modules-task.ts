// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { kernelPackage } from '../kernel/kernel.ts';
import type { Task } from '../task.ts';
import { moduleFiles } from './modules.ts';
import { digests, download, type RootRecipe, writeFiles } from './recipe.ts';

/** `usr/lib/modules/<release>`: the modules of the machine file and what they need, with depmod's indexes. */
export function kernelModulesTask(recipe: RootRecipe): Task {
  const { boot, modules } = recipe;
  const kernel = kernelPackage(boot);
  return {
    name: 'kernel-modules',
    title: `${modules.length} kernel modules and what they need`,
    inputs: { kernel: digests([kernel]), modules },
    code: import.meta.filename,
    tools: ['image'],
    async run(context) {
      const deb = (await download(recipe, context, [kernel])).get(kernel.name);
      if (deb === undefined)
        throw new MblError('builder/download-missing', `the package ${kernel.name} was not fetched`);
      await writeFiles(context.out, await moduleFiles(deb, modules, context.signal));
    },
  };
}
