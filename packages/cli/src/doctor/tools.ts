// SPDX-License-Identifier: Apache-2.0
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Diagnosis } from './finding.ts';

/** The programs of this machine that the workbench starts, and the Debian packages that hold them. All others it brings itself. */
const tools: readonly { readonly command: string; readonly package: string }[] = [
  { command: 'apt-get', package: 'apt' },
  { command: 'flock', package: 'util-linux' },
  { command: 'npm', package: 'npm' },
  { command: 'ssh', package: 'openssh-client' },
  { command: 'xz', package: 'xz-utils' },
];

/** Looks for every tool on the search path. */
export async function checkTools(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Diagnosis[]> {
  const folders = (environment['PATH'] ?? '').split(delimiter);
  const there = await Promise.all(tools.map(async ({ command }) => await isThere(command, folders)));
  const missing = tools.filter((_, i) => there[i] !== true);
  const present = tools.length - missing.length;
  return [
    ...(present > 0
      ? [{ what: 'tools', state: 'good' as const, found: `${present} of ${tools.length} found` }]
      : []),
    ...missing.map(
      ({ command, package: name }): Diagnosis => ({
        what: command,
        state: 'bad',
        found: 'not found',
        remedy: `Install it: apt-get install --no-install-recommends ${name}`,
      }),
    ),
  ];
}

async function isThere(command: string, folders: readonly string[]): Promise<boolean> {
  for (const folder of folders) {
    const found = await access(join(folder || '.', command), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
