// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { readText } from '@mbl/formats';
import { MblError, releaseRootFile } from '@mbl/trust';

/** TUF's bound for a root: `mostBytes` of `@mbl/releases`. */
const mostBytes = 128 * 1024;

/** The root of releases that goes with a key set, in its folder. Throws `builder/no-release-root`: an image without it would take no update ever. */
export async function readReleaseRoot(folder: string): Promise<string> {
  const text = await readText(join(folder, releaseRootFile), mostBytes);
  if (text !== undefined) return text;
  throw new MblError(
    'builder/no-release-root',
    `The key set in ${folder} has no root of releases, and an image without one could never be updated.`,
    {
      remedy: `Sign the first release with it, which makes the root: ./mbl release sign --keys ${folder}`,
      details: { folder },
    },
  );
}
