// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { formatImage } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { sourceDateEpoch } from '../engine/run-command.ts';
import { type Unidentified, readIdentity } from '../image/identity.ts';
import type { Task } from '../task.ts';
import { composed, composition, compositionFiles, partsOf } from './composition.ts';
import type { RootRecipe } from './recipe.ts';
import { buildRoot } from './root.ts';
import { downloadWithin } from './seal.ts';

const places = { disk: 'on the disk', download: 'as a download' } as const;

/** The tasks whose outputs stand in a root. */
export const rootContents = [...composed, 'trusted-applications'];

/** `root.img`, the sealed root file system with the image's identity in it; `root.json`: how it is opened. */
export function rootTask(recipe: RootRecipe, description: Unidentified): Task {
  const { image } = recipe;
  const { limits } = image;
  return {
    name: 'root',
    title: 'Root file system',
    inputs: { ...composition(recipe), image: image.name, limits, description: { ...description } },
    code: import.meta.filename,
    files: compositionFiles(recipe),
    tools: ['image'],
    needs: [...rootContents, 'identity'],
    async run(context) {
      const { signal } = context;
      const identity = await readIdentity(context.need('identity'), description);
      const sealed = await buildRoot({
        ...(await partsOf(
          recipe,
          context,
          rootContents,
          new Map([['etc/mbl/image.json', formatImage(identity)]]),
        )),
        out: context.out,
        name: image.name,
        time: sourceDateEpoch,
        log: (line) => context.log(line),
        progress: (fraction, what) => context.progress(fraction, what),
        signal,
      });
      const check = (limit: 'disk' | 'download', size: number): void => {
        if (size <= limits[limit]) return;
        throw new MblError(
          'builder/root-too-large',
          `the root file system takes ${size} bytes ${places[limit]}, and the image allows ${limits[limit]}`,
          {
            remedy: `Take packages out of the image, or raise limits: ${limit}.`,
            details: { size },
          },
        );
      };
      check('disk', sealed.size);
      check('download', await downloadWithin(join(context.out, 'root.img'), limits.download, signal));
    },
  };
}
