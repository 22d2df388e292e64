// SPDX-License-Identifier: Apache-2.0
import type { Release } from '@mbl/formats';
import type { PackageChange } from '@mbl/releases';
import { formatSize } from '../../table.ts';
import { required, value, verb } from '../../verb.ts';
import { releaseName, repositoryOption } from './options.ts';

export const diffReleases = verb({
  name: 'diff',
  description: 'what differs between two releases: components, versions, sizes, packages',
  arguments: {
    first: required('the name of a release', releaseName),
    second: required('the name of the other one', releaseName),
  },
  options: { ...repositoryOption, team: value('team', 'whose releases', { fallback: 'os' }) },
  more: 'Exit code 0: they have the same components; 1: they differ.',
  async run(cli, { first, second, repository, team }) {
    const { MblError } = await import('@mbl/trust');
    const { changedComponents, changedPackages, readBill, readRepository } = await import('@mbl/releases');
    const { repositoryFolder, repositoryReleases } = await import('../../workbench/releases.ts');
    const { output } = cli;
    const folder = repositoryFolder(cli, repository);
    const all = await repositoryReleases(folder, await readRepository(folder));
    const find = (name: string): Release => {
      const found = all.find(({ release }) => release.name === name && release.team === team);
      if (found !== undefined) return found.release;
      throw new MblError(
        'release/unknown-release',
        `The repository has no release ${name} of the team ${team}.`,
        {
          remedy: 'See what there is with: ./mbl release show',
        },
      );
    };
    const [before, after] = [find(first), find(second)];
    const components = changedComponents(before, after);
    const packages: ({ machine: string } & PackageChange)[] = [];
    for (const { machine, packages: old } of before.images) {
      const fresh = after.images.find((image) => image.machine === machine)?.packages;
      if (old === undefined || fresh === undefined || old.sha256 === fresh.sha256) continue;
      const changes = changedPackages(await readBill(folder, team, old), await readBill(folder, team, fresh));
      packages.push(...changes.map((change) => ({ machine, ...change })));
    }
    const index = { before: before.rollbackIndex, after: after.rollbackIndex };
    output.value({ components, packages, rollbackIndex: index });
    if (components.length === 0) output.line('the same components');
    else
      output.table(
        ['MACHINE', 'COMPONENT', `VERSION ${first}`, `VERSION ${second}`, `SIZE ${first}`, `SIZE ${second}`],
        components.map(({ machine, component, before: a, after: b }) => [
          machine,
          component,
          a?.version ?? '-',
          b?.version ?? '-',
          a === undefined ? '-' : formatSize(a.size),
          b === undefined ? '-' : formatSize(b.size),
        ]),
      );
    if (packages.length > 0) {
      output.line();
      output.table(
        ['MACHINE', 'PACKAGE', first, second],
        packages.map(({ machine, name, before: a, after: b }) => [machine, name, list(a), list(b)]),
      );
    }
    if (index.before !== index.after)
      output.line(`\nrollback index ${index.before} before, ${index.after} after`);
    return components.length === 0 ? 0 : 1;
  },
});

function list(versions: readonly string[]): string {
  return versions.length === 0 ? '-' : versions.join(' ');
}
