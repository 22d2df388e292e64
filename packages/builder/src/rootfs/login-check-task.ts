// SPDX-License-Identifier: Apache-2.0
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loginCheck } from '../key-profile.ts';
import type { Task } from '../task.ts';
import { composed, composition, compositionFiles, partsOf } from './composition.ts';
import type { RootRecipe } from './recipe.ts';
import { composeRoot } from './root.ts';

/**
 * Composes the root of a product before anything is signed, and finds no way in. The output is the same for every image that passes, so
 * that what is signed does not depend on it. The task `root` looks again, at the very tree that it seals.
 */
export function loginCheckTask(recipe: RootRecipe): Task {
  return {
    name: loginCheck,
    title: 'No login in the image',
    inputs: composition(recipe),
    code: import.meta.filename,
    files: compositionFiles(recipe),
    needs: composed,
    async run(context) {
      await composeRoot(await partsOf(recipe, context, composed));
      await writeFile(join(context.out, 'login'), 'none\n');
    },
  };
}
