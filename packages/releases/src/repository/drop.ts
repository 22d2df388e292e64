// SPDX-License-Identifier: Apache-2.0
import { rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Release } from '@mbl/formats';
import { mapsOf, streamsOf, targetsOf } from '../release/files.ts';
import { releasePath } from '../release/paths.ts';
import { localReleases } from '../release/local.ts';
import { removeTargets } from './edit.ts';
import { ofKind, type RepositoryState } from './roles.ts';

export interface DropOptions {
  /** Releases of other names are left alone. */
  readonly names: RegExp;
  /** So many of them stay, those that were made last. */
  readonly keep: number;
  readonly now: Date;
}

/**
 * Stages that a team vouches no more for all but the newest of its published releases of some kind, nor for what they alone bring. Returns
 * the files to give to `removeFiles` once that is published: until then devices may ask for them. Throws what `localReleases` throws.
 */
export async function dropReleases(
  folder: string,
  state: RepositoryState,
  team: string,
  { names, keep, now }: DropOptions,
): Promise<string[]> {
  const published = ofKind(state.published, team, 'targets')?.signed;
  const targets = ofKind(state.staged, team, 'targets')?.signed ?? published;
  if (targets === undefined) return [];
  const fileOf = (path: string): string =>
    join('targets', dirname(path), `${targets.targets[path]?.hashes['sha256']}.${path.split('/').at(-1)}`);
  const releases = await localReleases(folder, targets, undefined);
  const made = new Map<string, number>();
  for (const { release } of releases)
    if (names.test(release.name))
      made.set(release.name, (await stat(join(folder, fileOf(releasePath(team, release.name))))).mtimeMs);
  const newest = [...made].toSorted(([, a], [, b]) => b - a).slice(0, keep);
  const kept = new Set(newest.map(([name]) => name));
  const isOld = (name: string): boolean => made.has(name) && !kept.has(name);
  const of = (old: boolean, what: (release: Release) => string[]): Set<string> =>
    new Set(releases.flatMap(({ release }) => (isOld(release.name) === old ? what(release) : [])));
  const only = (what: (release: Release) => string[]): string[] => [
    ...of(true, what).difference(of(false, what)),
  ];
  const paths = only(targetsOf).filter((path) => Object.hasOwn(targets.targets, path));
  const unsigned = [...only(mapsOf), ...only(streamsOf)].map((path) => join('targets', path));
  if (paths.length > 0) removeTargets(state, team, paths, now);
  return [...paths.map(fileOf), ...unsigned];
}

/** Removes files of a repository that nobody names any more. */
export async function removeFiles(folder: string, files: readonly string[]): Promise<void> {
  for (const file of files) {
    await rm(join(folder, file), { force: true });
    // The folder of a component, unless something else is in it.
    await rmdir(dirname(join(folder, file))).catch(() => undefined);
  }
}
