// SPDX-License-Identifier: Apache-2.0
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from './errno.ts';
import { isLocked, lockFile } from './file-lock.ts';
import { Store } from './store.ts';

export interface PruneReport {
  /** How many outputs and unfinished outputs were removed. */
  readonly removed: number;
  /** What they took on the disk. */
  readonly bytes: number;
}

/**
 * Removes from a cache folder (shared or private) the outputs, logs and leftovers of killed builds that nobody used for so many days.
 * What a running build holds stays.
 */
export async function pruneCache(directory: string, olderThanDays: number): Promise<PruneReport> {
  const store = new Store(directory, 0o755);
  const limit = Date.now() - olderThanDays * 86_400_000;
  let removed = 0;
  let bytes = 0;
  const remove = async (place: string): Promise<void> => {
    bytes += await diskUsage(place);
    removed++;
    await rm(place, { recursive: true, force: true });
  };
  for (const id of await names(join(directory, 'tasks'))) {
    const place = join(directory, 'tasks', id);
    const used = (await timeOf(join(place, 'output.json'))) ?? (await timeOf(place));
    if (used === undefined || used >= limit || (await isLocked(store.lock(id)))) continue;
    await using _ = await lockFile(store.lock(id));
    await remove(place);
  }
  for (const id of await names(join(directory, 'staging'))) {
    const place = store.staging(id);
    const made = await timeOf(place);
    if (made === undefined || made >= limit || (await isLocked(store.lock(id)))) continue;
    await using _ = await lockFile(store.lock(id));
    await remove(place);
  }
  for (const name of await names(join(directory, 'logs'))) {
    const written = await timeOf(join(directory, 'logs', name));
    if (written !== undefined && written < limit) await rm(join(directory, 'logs', name), { force: true });
  }
  return { removed, bytes };
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function timeOf(file: string): Promise<number | undefined> {
  try {
    return (await lstat(file)).mtimeMs;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Bytes on the disk, in which the holes of sparse files do not count. */
async function diskUsage(file: string): Promise<number> {
  const status = await lstat(file);
  let bytes = status.blocks * 512;
  if (status.isDirectory())
    for (const name of await readdir(file)) bytes += await diskUsage(join(file, name));
  return bytes;
}
