// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { appNameRule, isAppName } from '@mbl/formats';
import { MblError } from '@mbl/trust';

export const templates = ['c', 'go', 'node', 'python', 'shell'] as const;

export interface NewAppOptions {
  readonly name: string;
  /** The folder of examples that has the template. */
  readonly examples: string;
  readonly template: (typeof templates)[number];
  /** The folder to make. */
  readonly folder: string;
}

/** Copies a template under an app's own name. Returns the names of its files. Throws `apps/bad-name`, `apps/exists`. */
export async function newApp({ name, examples, template, folder }: NewAppOptions): Promise<string[]> {
  if (!isAppName(name))
    throw new MblError('apps/bad-name', `"${name}" is no name of an app: it must be ${appNameRule}.`, {
      remedy: 'Choose another one, such as: ./mbl app new sensor',
    });
  await mkdir(folder).catch((cause: unknown) => {
    if (!(cause instanceof Error) || !('code' in cause) || cause.code !== 'EEXIST') throw cause;
    throw new MblError('apps/exists', `There is a ${folder} already.`, {
      remedy: 'Choose another name, or remove it.',
      cause,
    });
  });
  try {
    const from = join(examples, template);
    const entries = (await readdir(from, { withFileTypes: true })).filter((entry) => entry.isFile());
    for (const entry of entries) {
      const place = join(from, entry.name);
      const text = (await readFile(place, 'utf8'))
        // The licence is the example's.
        .replace(/^(?:#|\/\/) SPDX-License-Identifier: .*\n/m, '')
        .replace(/^name: .*$/m, (line) => (entry.name === 'app.yaml' ? `name: ${name}` : line));
      await writeFile(join(folder, entry.name), text);
      await chmod(join(folder, entry.name), (await stat(place)).mode & 0o777);
    }
    return entries.map((entry) => entry.name).toSorted();
  } catch (cause) {
    await rm(folder, { recursive: true, force: true });
    throw cause;
  }
}
