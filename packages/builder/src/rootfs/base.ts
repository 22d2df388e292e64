// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ErofsOptions, TarOutput } from '@mbl/blocks';
import { makeErofs } from './make-erofs.ts';

/** An erofs of the most of a root that seldom changes; to compress it takes longer than the rest of a build. */
export interface Base {
  /** The erofs, as a file. */
  readonly image: string;
  /** A digest of each of its entries, by path. */
  readonly digests: ReadonlyMap<string, string>;
}

/** Keeps `entries` in a folder, as `base.erofs` and `base.json`, for roots that have them and a little more. */
export const storeBase = async (
  entries: readonly TarOutput[],
  folder: string,
  options: ErofsOptions,
): Promise<void> => {
  await mkdir(folder, { recursive: true });
  await makeErofs(entries, join(folder, 'base.erofs'), options);
  await writeFile(
    join(folder, 'base.json'),
    JSON.stringify(entries.map((entry) => [entry.path, digest(entry)])),
  );
};

/** Reads what `storeBase` wrote. */
export const loadBase = async (folder: string): Promise<Base> => {
  const digests: [string, string][] = JSON.parse(await readFile(join(folder, 'base.json'), 'utf8'));
  return { image: join(folder, 'base.erofs'), digests: new Map(digests) };
};

/**
 * What has to be written over the base to have all of `entries`, each with the directories that it is in. Undefined when that is not
 * enough: something would have to go, or a hard link to lead elsewhere.
 */
export const overBase = (base: Base, entries: readonly TarOutput[]): TarOutput[] | undefined => {
  const paths = new Set(entries.map(({ path }) => path));
  if ([...base.digests.keys()].some((path) => !paths.has(path))) return undefined;
  const changed = new Set(
    entries.filter((entry) => base.digests.get(entry.path) !== digest(entry)).map(({ path }) => path),
  );
  const linked = entries.filter(({ type }) => type === 'hardlink').flatMap(({ path, link }) => [path, link]);
  if (linked.some((path) => changed.has(path))) return undefined;
  const parents = new Set(['']);
  for (const path of changed)
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1))
      parents.add(path.slice(0, slash));
  return entries.filter(({ path }) => changed.has(path) || parents.has(path));
};

const digest = ({ type, mode, uid, gid, link, data }: TarOutput): string =>
  createHash('sha256').update(`${type} ${mode} ${uid} ${gid} ${link}\0`).update(data).digest('hex');
