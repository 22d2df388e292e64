// SPDX-License-Identifier: Apache-2.0
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import type { Image } from '../recipes/image.ts';
import type { Task } from '../task.ts';
import { downloadWithin } from './download-size.ts';

const places = { disk: 'on the disk', download: 'as a download' } as const;

/**
 * Holds the root against the image's limits, beside the tasks that go on with it; no image is put together of a root that is too large.
 * `size.json`: bytes on the disk and, at most, as a download. Throws `builder/root-too-large`.
 */
export function rootSizeTask({ limits }: Pick<Image, 'limits'>): Task {
  return {
    name: 'root-size',
    title: 'Size of the root file system',
    inputs: { ...limits },
    code: import.meta.filename,
    tools: ['image'],
    needs: ['root'],
    async run(context) {
      const image = join(context.need('root'), 'root.img');
      const check = (limit: keyof typeof places, size: number): number => {
        if (size <= limits[limit]) return size;
        throw new MblError(
          'builder/root-too-large',
          `the root file system takes ${size} bytes ${places[limit]}, and the image allows ${limits[limit]}`,
          {
            remedy: `Take packages out of the image, or raise limits: ${limit}.`,
            details: { size },
          },
        );
      };
      const disk = check('disk', (await stat(image)).size);
      const download = check('download', await downloadWithin(image, limits.download, context.signal));
      await writeFile(join(context.out, 'size.json'), `${JSON.stringify({ disk, download })}\n`);
    },
  };
}
