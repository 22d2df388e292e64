// SPDX-License-Identifier: Apache-2.0
import { required, verb } from '../../verb.ts';

/** So many files are named; the rest is counted. */
const mostShown = 40;

export const diffApps = verb({
  name: 'diff',
  description: 'what differs between two packages: what they ask for, files, packages inside',
  arguments: {
    first: required('the folder of a package, or the name of an app in build/apps'),
    second: required('the other one'),
  },
  more: 'Exit code 0: they are the same; 1: they differ.',
  async run(cli, { first, second }) {
    const { comparePackages } = await import('@mbl/apps');
    const { changedPackages } = await import('@mbl/releases');
    const { packageFolder } = await import('../../workbench/apps.ts');
    const { output } = cli;
    const found = await comparePackages(await packageFolder(cli, first), await packageFolder(cli, second));
    const { description, added, removed, changed } = found;
    const [old, fresh] = found.bills;
    const packages = old === undefined || fresh === undefined ? [] : changedPackages(old, fresh);
    output.value({ description, added, removed, changed, packages });
    if (description.length > 0)
      output.table(
        ['SETTING', first, second],
        description.map(({ member, before, after }) => [member, orNone(before), orNone(after)]),
      );
    if (packages.length > 0)
      output.table(
        ['PACKAGE', first, second],
        packages.map(({ name, before, after }) => [name, orNone(before.join(' ')), orNone(after.join(' '))]),
      );
    const files = [
      ...removed.map((path) => `- ${path}`),
      ...added.map((path) => `+ ${path}`),
      ...changed.map(({ path, before, after }) => `~ ${path}: ${before} → ${after}`),
    ];
    for (const line of files.slice(0, mostShown)) output.line(line);
    if (files.length > mostShown)
      output.line(`and ${files.length - mostShown} files more (--json has them all)`);
    const same = description.length === 0 && files.length === 0;
    if (same) output.line('the same');
    return same ? 0 : 1;
  },
});

function orNone(text: string): string {
  return text === '' ? '-' : text;
}
