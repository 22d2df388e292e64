// SPDX-License-Identifier: Apache-2.0
import type { BuildResult } from '@mbl/builder';
import { osTeam } from '@mbl/formats';
import { addTargets, composeRelease, dropReleases, releasesBefore } from '@mbl/releases';
import type { KeySet } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { editOwnRepository } from './own-repository.ts';
import { repositoryReleases } from './releases.ts';

/**
 * The release of a build in the workspace's own repository, made and signed with the key set unless it is there; its name. The same
 * build gets the same name, and an index that no device refuses which took the releases before. Throws what `editOwnRepository` throws.
 */
export async function releaseOfBuild(
  cli: Cli,
  { directory, description: { buildId } }: BuildResult,
  keys: KeySet,
): Promise<string> {
  return await cli.output.progress.phase(
    'make and sign a release of it',
    async () =>
      await editOwnRepository(cli, keys, async (state, folder, now) => {
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
            signal: cli.signal,
          });
          addTargets(state, osTeam, targets, now);
        }
        // A working copy makes a release with each change: without this its disk would fill up.
        const unused = await dropReleases(folder, state, osTeam, {
          names: ofBuilds,
          keep: keptReleases,
          now,
        });
        return { result: name, unused };
      }),
    (name) => ({ note: name }),
  );
}

/** Devices that are being brought one of the last few are not left without it. */
const keptReleases = 3;
const ofBuilds = /^build-[0-9a-f]{16}(-\d+)?$/;
