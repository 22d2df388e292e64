// SPDX-License-Identifier: Apache-2.0
import { type BuildResult, lockFile } from '@mbl/builder';
import { osTeam } from '@mbl/formats';
import {
  addTargets,
  beginRepository,
  composeRelease,
  dropReleases,
  publish,
  readRepository,
  releasesBefore,
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
import { releaseRoot, repositoryReleases, setSigners } from './releases.ts';

/**
 * The release of a build in the workspace's own repository, made and signed with the key set unless it is there; its name. The same
 * build gets the same name, and an index that no device refuses which took the releases before.
 *
 * Throws `cli/not-released` where the repository is not one that a program may sign in by itself.
 */
export async function releaseOfBuild(
  { output, workspace, signal }: Cli,
  { directory, description: { buildId } }: BuildResult,
  keys: KeySet,
): Promise<string> {
  const folder = releasesFolder(workspace);
  return await output.progress.phase(
    'make and sign a release of it',
    async () => {
      // Two boards may be updated at the same time.
      await using _lock = await lockFile(`${folder}.lock`, { signal });
      const state = await readRepository(folder);
      const set = await setSigners(keys);
      const signers = Object.values(set);
      const now = new Date();
      checkOurs(state, folder, signers);
      if (!state.published.has('root')) beginRepository(state, set, await releaseRoot(keys), now);
      const all = await repositoryReleases(folder, state);
      const releases = all.filter(({ release }) => release.team === osTeam);
      const rollbackIndex = Math.max(0, ...releases.map(({ release }) => release.rollbackIndex));
      const name = `build-${buildId}${rollbackIndex === 0 ? '' : `-${rollbackIndex}`}`;
      if (!releases.some(({ release }) => release.name === name)) {
        const { targets } = await composeRelease({
          name,
          images: [directory],
          components: ['boot-firmware', 'kernel', 'root'],
          rollbackIndex,
          notes: '',
          before: releasesBefore(all, osTeam, name),
          // It stays on this machine.
          level: 1,
          repository: folder,
          signal,
        });
        addTargets(state, osTeam, targets, now);
      }
      // A working copy makes a release with each change: without this its disk would fill up.
      const old = await dropReleases(folder, state, osTeam, { names: ofBuilds, keep: keptReleases, now });
      await signStaged(state, signers);
      // Also where nothing is new: snapshot and timestamp hold for a month.
      const { files, waiting } = await publish(state, { signers, now, days });
      if (waiting.length > 0)
        throw notReleased(folder, `${waiting.join(', ')} needs more signatures than this key set has`);
      await writePublished(folder, files);
      await writeStaged(folder, state);
      await removeFiles(folder, old);
      return name;
    },
    (name) => ({ note: name }),
  );
}

/** Devices that are being brought one of the last few are not left without it. */
const keptReleases = 3;
const ofBuilds = /^build-[0-9a-f]{16}(-\d+)?$/;
const days = 30;

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

function notReleased(folder: string, why: string): MblError {
  return new MblError('cli/not-released', `No release of this build is made in ${folder}: ${why}.`, {
    remedy: 'See what is there: ./mbl release show',
  });
}
