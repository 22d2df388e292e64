// SPDX-License-Identifier: Apache-2.0
import { formatImage } from '@mbl/formats';
import { type Unidentified, readIdentity } from '../image/identity.ts';
import type { Task } from '../task.ts';
import { loadBase } from './base.ts';
import { composed, composition, compositionFiles, partsOf } from './composition.ts';
import type { RootRecipe } from './recipe.ts';
import { buildRoot } from './root.ts';

/** The tasks whose outputs stand in a root. */
export const rootContents = [...composed, 'trusted-applications'];

/** `root.img`, the sealed root file system with the image's identity in it; `root.json`: how it is opened. */
export function rootTask(recipe: RootRecipe, description: Unidentified): Task {
  const { image, releaseRoot } = recipe;
  return {
    name: 'root',
    title: 'Root file system',
    inputs: {
      ...composition(recipe),
      image: image.name,
      description: { ...description },
      releaseRoot,
    },
    code: import.meta.filename,
    files: compositionFiles(recipe),
    tools: ['image'],
    needs: [...rootContents, 'root-base', 'identity'],
    async run(context) {
      const identity = await readIdentity(context.need('identity'), description);
      const files = new Map([
        ['etc/mbl/image.json', formatImage(identity)],
        ['etc/mbl/releases/root.json', releaseRoot],
      ]);
      await buildRoot({
        ...(await partsOf(recipe, context, rootContents, files)),
        out: context.out,
        name: image.name,
        base: await loadBase(context.need('root-base')),
        log: (line) => context.log(line),
        progress: (fraction, what) => context.progress(fraction, what),
        signal: context.signal,
      });
    },
  };
}
