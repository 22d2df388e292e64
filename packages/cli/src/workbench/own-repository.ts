// SPDX-License-Identifier: Apache-2.0
import { lockFile } from '@mbl/builder';
import {
  beginRepository,
  type MetadataSigner,
  publish,
  readRepository,
  removeFiles,
  type RepositoryState,
  rolesOf,
  signStaged,
  writePublished,
  writeStaged,
} from '@mbl/releases';
import { type KeySet, MblError } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { releasesFolder } from '../workspace.ts';
import { releaseRoot, setSigners } from './releases.ts';

const days = 30;

/** What an edit adds: what it gives to its caller, keys that sign beside those of the set, files that nothing names any more. */
export interface Edited<T> {
  readonly result: T;
  readonly signers?: readonly MetadataSigner[];
  readonly unused?: readonly string[];
}

/**
 * Changes the workspace's own repository, signs with the key set what has changed, and publishes it. Nobody else does so meanwhile. A repository that is not there
 * yet begins with this.
 *
 * Throws `cli/not-released` where the repository is not one that a program may sign in by itself.
 */
export async function editOwnRepository<T>(
  { workspace, signal }: Cli,
  keys: KeySet,
  edit: (state: RepositoryState, folder: string, now: Date) => Promise<Edited<T>>,
): Promise<T> {
  const folder = releasesFolder(workspace);
  // Two boards may be updated at the same time.
  await using _lock = await lockFile(`${folder}.lock`, { signal });
  const state = await readRepository(folder);
  const set = await setSigners(keys);
  const own = Object.values(set);
  const now = new Date();
  checkOurs(state, folder, own);
  if (!state.published.has('root')) beginRepository(state, set, await releaseRoot(keys), now);
  const { result, signers: more = [], unused = [] } = await edit(state, folder, now);
  const signers = [...own, ...more];
  await signStaged(state, signers);
  // Also where nothing is new: snapshot and timestamp hold for a month.
  const { files, waiting } = await publish(state, { signers, now, days });
  if (waiting.length > 0)
    throw notReleased(folder, `${waiting.join(', ')} needs more signatures than this key set has`);
  await writePublished(folder, files);
  await writeStaged(folder, state);
  await removeFiles(folder, unused);
  return result;
}

/** A person's own repository is left to that person. */
function checkOurs(
  state: RepositoryState,
  folder: string,
  signers: readonly { readonly key: { readonly id: string } }[],
): void {
  if (state.staged.size > 0)
    throw notReleased(
      folder,
      `something waits there for a signature: ${[...state.staged.keys()].join(', ')}`,
    );
  if (state.published.has('root') && signers.every(({ key }) => rolesOf(state, key.id).length === 0))
    throw notReleased(folder, 'none of the key set may sign there');
}

export function notReleased(folder: string, why: string): MblError {
  return new MblError('cli/not-released', `No release of this build is made in ${folder}: ${why}.`, {
    remedy: 'See what is there: ./mbl release show',
  });
}
