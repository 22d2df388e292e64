// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { type AppDescription, maxAppBytes, parseApp, readText } from '@mbl/formats';
import { MblError } from '@mbl/trust';

/** The files of a package: the first two are the device's, the others are for people. */
export const appFiles = {
  image: 'app.erofs',
  description: 'app.json',
  bill: 'packages.cdx.json',
  files: 'files.txt',
} as const;

/** Reads the `app.json` of a package. Throws `apps/no-package`, `formats/bad-app`. */
export async function readPackage(folder: string): Promise<AppDescription> {
  const file = join(folder, appFiles.description);
  const text = await readText(file, maxAppBytes);
  if (text !== undefined) return parseApp(text, file);
  throw new MblError('apps/no-package', `There is no package of an app in ${folder}.`, {
    remedy: 'Make one with: ./mbl app build',
    details: { folder },
  });
}
