// SPDX-License-Identifier: Apache-2.0
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findWorkspace } from '@mbl/cli';

/**
 * The working copy's keys as a product's set in another folder, so that no firmware is compiled for them: a `keys.json` without a
 * profile counts as production's.
 */
export async function productionKeys(target: string): Promise<string> {
  await cp(join(findWorkspace().state, 'keys'), target, { recursive: true });
  const path = join(target, 'keys.json');
  const {
    profile: _,
    seal: __,
    ...index
  } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  await writeFile(path, JSON.stringify(index));
  return target;
}
