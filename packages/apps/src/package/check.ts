// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { AppDescription } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { measure } from './build.ts';
import { readPackage } from './folder.ts';

/** Reads a package and all of its image, and holds one against the other. Throws `apps/wrong-content`, and what `readPackage` does. */
export async function checkPackage(folder: string, signal?: AbortSignal): Promise<AppDescription> {
  const app = await readPackage(folder);
  const { file, size, sha256, fsVerity } = await measure(join(folder, app.image.file), signal);
  if (size === app.image.size && sha256 === app.image.sha256 && fsVerity === app.image.fsVerity) return app;
  throw new MblError(
    'apps/wrong-content',
    `${join(folder, file)} is not the image that its app.json names.`,
    {
      remedy: 'Make the package again with: ./mbl app build',
      details: { folder },
    },
  );
}
