// SPDX-License-Identifier: Apache-2.0
import type { Task } from '../task.ts';
import { storeBase } from './base.ts';
import { composition, compositionFiles, partsOf } from './composition.ts';
import type { RootRecipe } from './recipe.ts';
import { composeRoot, sealOptionsOf } from './root.ts';

/** The tasks whose outputs change with versions and recipes only. */
const contents = ['packages', 'kernel-modules', 'node'];

/** `base.erofs`: the root without what is developed or signed here, compressed once for many roots. */
export function rootBaseTask(recipe: RootRecipe): Task {
  const { image } = recipe;
  return {
    name: 'root-base',
    title: 'Base of the root file system',
    inputs: { ...composition(recipe), image: image.name },
    code: import.meta.filename,
    files: compositionFiles(recipe),
    tools: ['image'],
    needs: contents,
    async run(context) {
      const { tree, owners } = await composeRoot(await partsOf(recipe, context, contents));
      await storeBase(tree.output(owners), context.out, sealOptionsOf(image.name, context.signal));
    },
  };
}
