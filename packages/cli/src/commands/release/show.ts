// SPDX-License-Identifier: Apache-2.0
import type { LocalRelease } from '@mbl/releases';
import type { Output } from '../../output.ts';
import { formatSize } from '../../table.ts';
import { optional, verb } from '../../verb.ts';
import { releaseName, repositoryOption } from './options.ts';

export const showReleases = verb({
  name: 'show',
  description: "what is in the team's repository: releases, who may sign, what waits for whom",
  arguments: { release: optional('one release, with its components and notes', releaseName) },
  options: repositoryOption,
  async run(cli, { release: name, repository }) {
    const { MblError } = await import('@mbl/trust');
    const { authorityOf, progressOf, readRepository, teamsOf, topRoles } = await import('@mbl/releases');
    const { repositoryFolder, repositoryReleases } = await import('../../workbench/releases.ts');
    const { output } = cli;
    const folder = repositoryFolder(cli, repository);
    const state = await readRepository(folder);
    const all = await repositoryReleases(folder, state);
    if (name !== undefined) {
      const found = all.filter(({ release }) => release.name === name);
      if (found.length === 0)
        throw new MblError('release/unknown-release', `The repository has no release ${name}.`, {
          remedy: 'See what there is with: ./mbl release show',
        });
      output.value(found);
      for (const one of found) printRelease(output, one);
      return;
    }
    // Before the first signing nobody may sign anything yet.
    const known = state.published.has('root') || state.staged.has('root');
    const progress = known ? progressOf(state) : [];
    const roles = (known ? [...topRoles, ...teamsOf(state)] : []).map((role) => ({
      role,
      ...authorityOf(state, role),
      version: state.published.get(role)?.signed.version,
      expires: state.published.get(role)?.signed.expires,
      staged: progress.find((one) => one.role === role),
    }));
    output.value({ repository: folder, releases: all, roles });
    output.table(
      ['TEAM', 'RELEASE', 'KEYS', 'MACHINES', 'INDEX', ''],
      all.map(({ release, published }) => [
        release.team,
        release.name,
        release.keys,
        release.images.map(({ machine }) => machine).join(' '),
        `${release.rollbackIndex}`,
        published ? 'published' : 'waits for signatures',
      ]),
    );
    output.line();
    output.table(
      ['ROLE', 'VERSION', 'UNTIL', 'NEEDS', 'KEYS', ''],
      roles.map(({ role, version, expires, threshold, keyIds, staged }) => [
        role,
        `${version ?? '-'}`,
        expires?.slice(0, 10) ?? '-',
        `${threshold} of ${keyIds.length}`,
        keyIds.map((id) => id.slice(0, 16)).join(' '),
        staged === undefined
          ? ''
          : `version ${staged.version} waits: ${staged.signatures} of ${staged.threshold} signed`,
      ]),
    );
  },
});

function printRelease(output: Output, { release, published }: LocalRelease): void {
  const state = published ? 'published' : 'waits for signatures';
  output.line(
    `${release.team} ${release.name}, ${release.keys} keys, rollback index ${release.rollbackIndex}: ${state}`,
  );
  if (release.notes !== '') output.line(`\n${release.notes}`);
  output.line();
  output.table(
    ['MACHINE', 'IMAGE', 'BUILD', 'COMPONENT', 'VERSION', 'SIZE', 'SHA-256'],
    release.images.flatMap(({ machine, image, buildId, components }) =>
      components.map((part) => [
        machine,
        image,
        buildId,
        part.name,
        part.version,
        formatSize(part.size),
        part.sha256.slice(0, 16),
      ]),
    ),
  );
}
