// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { MblError } from '@mbl/trust';
import { compareVersions } from '../debian/version.ts';
import { byName, object, parseRecipe, table, text } from '@mbl/formats';
import type { LockedSource } from '../recipes/lock.ts';

const version = text(/^[0-9][A-Za-z0-9.+~:-]{0,99}$/, 'a Debian version');
const file = byName(object({ least: version, advisories: table() }));

/** What a source must at least be, and why. */
export interface Floor {
  readonly source: string;
  readonly least: string;
  /** What each advisory is about, by its name: `CVE-2026-46728`. */
  readonly advisories: Readonly<Record<string, string>>;
}

/** Reads `os/firmware/advisories.yaml`. Throws `formats/bad-recipe` with file and line. */
export async function readFloors(path: string): Promise<Floor[]> {
  const node = parseRecipe(path, await readFile(path), 'the advisories');
  const entries = file.complete(file.read(node), node.at, 'the advisories');
  return entries.map(({ name, part }) => ({ source: name, ...part }));
}

/** Throws `builder/vulnerable-source`, with the names of the advisories, when a source is older than what its floor says. */
export function checkFloors(sources: readonly LockedSource[], floors: readonly Floor[]): void {
  for (const { name, version, suite } of sources) {
    const floor = floors.find(({ source }) => source === name);
    if (floor === undefined || compareVersions(version, floor.least) >= 0) continue;
    const advisories = Object.entries(floor.advisories).map(([advisory, what]) => `${advisory} (${what})`);
    throw new MblError(
      'builder/vulnerable-source',
      `The lock has ${name} ${version} of ${suite}; ${floor.least} or later is needed for ${advisories.join(', ')}.`,
      {
        remedy:
          'Run: ./mbl build --update-lock. When the lock comes out no newer, the mirror or the snapshot is too old: set another one.',
        details: { source: name, version, least: floor.least, advisories: Object.keys(floor.advisories) },
      },
    );
  }
}
