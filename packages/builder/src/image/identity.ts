// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageIdentity } from '@mbl/formats';
import { digestJson } from '../engine/canonical.ts';
import type { Json, Task } from '../task.ts';

/** What an image says of itself before it is known which build it is. The root's version is the product's, or that of the distribution. */
export interface Unidentified extends Omit<ImageIdentity, 'buildId'> {}

const file = 'build-id';

/**
 * The identity of a build: a digest of what the tasks `from` left, and of the definitions of the steps that come after it, which carry it.
 * It is not in the key of those, it is in what they make.
 */
export function identityTask(from: readonly string[], definitions: Readonly<Record<string, Json>>): Task {
  return {
    name: 'identity',
    title: 'Build identity',
    inputs: definitions,
    code: import.meta.filename,
    needs: from,
    async run(context) {
      const outputs = Object.fromEntries(from.map((name) => [name, context.digest(name)]));
      await writeFile(join(context.out, file), digestJson({ outputs, definitions }).slice(0, 16));
    },
  };
}

/** The description of an image with its identity in it; `folder` is the output of the task `identity`. */
export async function readIdentity(folder: string, image: Unidentified): Promise<ImageIdentity> {
  const buildId = await readFile(join(folder, file), 'utf8');
  const { root, ...others } = image.components;
  return {
    ...image,
    buildId,
    components: { ...others, root: { version: `${root.version}+${buildId.slice(0, 8)}` } },
  };
}
