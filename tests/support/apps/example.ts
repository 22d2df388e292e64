// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findMirrors } from '@mbl/builder';
import { root } from '../mbl.ts';

/** Copies an example into a folder, and makes its image from the machine's own mirror; `variables` are those of its Makefile. Returns the copy. */
export async function makeExample(
  name: string,
  folder: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<string> {
  const source = join(folder, name);
  await cp(join(root, 'examples', name), source, { recursive: true });
  const { main } = await findMirrors();
  const words = Object.entries({ mirror: main, ...variables }).map((pair) => pair.join('='));
  await promisify(execFile)('make', ['-C', source, ...words]);
  return source;
}
