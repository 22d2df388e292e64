// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Selection } from './select.ts';

/**
 * Long stories that take turns in a whole run, so that it ends in time: of each pair the one or the other, by what is committed. `./mbl test all` runs
 * both.
 */
export const pairs: readonly (readonly [string, string])[] = (
  [
    ['fallback', 'by-hand'],
    ['watchdog', 'firmware-update'],
    ['compare', 'hsm'],
    ['crash', 'attacks-root'],
    ['recovery', 'hosts'],
    ['slots', 'banks'],
    ['offline', 'layer'],
    ['app-run', 'apps'],
    ['production', 'app-hostile'],
  ] as const
).map(([even, odd]) => [`tests/${even}.story.ts`, `tests/${odd}.story.ts`]);

export type Turn = 0 | 1;

/** Long stories that have a turn without another one in its place: the turn with less work. */
export const singles: readonly (readonly [string, Turn])[] = [['tests/app-teams.story.ts', 0]];

/** Takes the stories out whose turn it is not; says which. */
export function takeTurns(selection: Selection, turn: Turn): { selection: Selection; out: string[] } {
  const waiting = new Set([
    ...pairs.map((pair) => pair[1 - turn]),
    ...singles.flatMap(([name, its]) => (its === turn ? [] : [name])),
  ]);
  const stories = selection.stories.filter(({ name }) => !waiting.has(name));
  const out = selection.stories.map(({ name }) => name).filter((name) => waiting.has(name));
  return { selection: { ...selection, stories }, out };
}

/** The turn of a working copy: the same for the same content, so that a failure comes again; `MBL_TEST_TURN` is another one. */
export async function turnOf(root: string, environment: Readonly<NodeJS.ProcessEnv>): Promise<Turn> {
  const asked = environment['MBL_TEST_TURN'];
  if (asked !== undefined) return asked === '1' ? 1 : 0;
  const tree = await promisify(execFile)('git', ['-C', root, 'rev-parse', 'HEAD^{tree}']).then(
    ({ stdout }) => stdout.trim(),
    // An archive of the sources has no commits.
    () => '',
  );
  return (Number.parseInt(tree.slice(-1) || '0', 16) % 2) as Turn;
}
