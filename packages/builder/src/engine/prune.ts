// SPDX-License-Identifier: Apache-2.0
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from './errno.ts';
import { isLocked, lockFile } from './file-lock.ts';
import { Store } from './store.ts';

/** Kinds of things that a cache folder holds: task outputs, what killed builds left of them, their logs, unpacked tools, fetched files. */
export type CacheKind = 'outputs' | 'unfinished' | 'logs' | 'toolboxes' | 'downloads';

export interface PruneOptions {
  /** What nobody used for so long goes. Milliseconds. */
  readonly unusedForMs: number;
  readonly kinds: readonly CacheKind[];
  /** Only say what would go. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/** How many of a kind were removed, and what they took on the disk, in bytes. */
export interface Pruned {
  readonly kind: CacheKind;
  readonly removed: number;
  readonly bytes: number;
}

/** A thing in the cache. */
interface Item {
  readonly kind: CacheKind;
  readonly place: string;
  /** What tells by its time when the thing was last used; the first of these that is there. */
  readonly witnesses: readonly string[];
  /** The lock that a build holds while it uses the thing. */
  readonly lock?: string;
}

/**
 * Removes from a cache folder (shared or private) what nobody used for a while. What a running build holds stays. A kind of which
 * nothing was removed is not reported.
 */
export async function pruneCache(directory: string, options: PruneOptions): Promise<Pruned[]> {
  const { kinds, dryRun = false, signal } = options;
  const limit = Date.now() - options.unusedForMs;
  const report: Pruned[] = [];
  for (const kind of kinds) {
    let removed = 0;
    let bytes = 0;
    for (const item of await itemsOf(directory, kind)) {
      signal?.throwIfAborted();
      if (!(await isUnused(item, limit))) continue;
      if (item.lock !== undefined && (await isLocked(item.lock))) continue;
      await using _ = item.lock === undefined || dryRun ? undefined : await lockFile(item.lock);
      // A build may have used it while the lock was waited for.
      if (!(await isUnused(item, limit))) continue;
      bytes += await diskUsage(item.place);
      removed += 1;
      if (!dryRun) await rm(item.place, { recursive: true, force: true });
    }
    if (removed > 0) report.push({ kind, removed, bytes });
  }
  return report;
}

async function itemsOf(directory: string, kind: CacheKind): Promise<Item[]> {
  const store = new Store(directory, 0o755);
  switch (kind) {
    case 'outputs':
      return (await names(join(directory, 'tasks'))).map((id) => {
        const place = join(directory, 'tasks', id);
        return { kind, place, witnesses: [join(place, 'output.json'), place], lock: store.lock(id) };
      });
    case 'unfinished':
      return (await names(join(directory, 'staging'))).map((id) => {
        const place = store.staging(id);
        return { kind, place, witnesses: [place], lock: store.lock(id) };
      });
    case 'toolboxes':
      return (await names(join(directory, 'toolbox'))).map((name) => {
        const place = join(directory, 'toolbox', name);
        return { kind, place, witnesses: [join(place, 'complete'), place] };
      });
    case 'logs':
    case 'downloads': {
      const found = await names(join(directory, kind), kind === 'downloads');
      return found.map((name) => {
        const place = join(directory, kind, name);
        return { kind, place, witnesses: [place] };
      });
    }
  }
}

async function isUnused({ witnesses }: Item, limit: number): Promise<boolean> {
  for (const witness of witnesses) {
    const used = await timeOf(witness);
    if (used !== undefined) return used < limit;
  }
  return false;
}

/** What is in a folder; with `deep` the files of its folders. */
async function names(folder: string, deep = false): Promise<string[]> {
  try {
    if (!deep) return await readdir(folder);
    const found: string[] = [];
    for (const name of await readdir(folder))
      found.push(...(await readdir(join(folder, name))).map((file) => join(name, file)));
    return found;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** When a file was last written, or read by somebody: every build reads what it fetched to check it. */
async function timeOf(file: string): Promise<number | undefined> {
  try {
    const status = await lstat(file);
    return status.isFile() ? Math.max(status.mtimeMs, status.atimeMs) : status.mtimeMs;
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
