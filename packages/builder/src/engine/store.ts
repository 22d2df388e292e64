// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from './errno.ts';
import { listTree, type TreeEntry, hashFile, treeDigest } from './tree.ts';

/** What a task left: a folder, and a digest of all that is in it. */
export interface Output {
  readonly folder: string;
  readonly digest: string;
}

/** What the store holds under a key. */
export type Found = { readonly output: Output } | { readonly damaged: string } | undefined;

/** `output.json` beside the output: written last, so that an output which has one is whole. */
interface Manifest {
  readonly version: 1;
  readonly digest: string;
  readonly entries: readonly TreeEntry[];
}

/**
 * A folder of task outputs by task and key:
 *
 *     tasks/<id>/out/         the output       staging/<id>/out/    an output that is being made
 *     tasks/<id>/output.json  its manifest     staging/<id>/work/   its scratch folder
 *     logs/<id>.log                            locks/<id>.lock
 *
 * where `<id>` is `<task>-<first 16 digits of the key>`. An output moves from `staging` to `tasks` in one rename.
 */
export class Store {
  readonly folder: string;
  readonly #mode: number;

  constructor(folder: string, mode: number) {
    this.folder = folder;
    this.#mode = mode;
  }

  async start(): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: this.#mode });
    if (this.#mode === 0o700) await chmod(this.folder, this.#mode);
    for (const name of ['tasks', 'staging', 'logs', 'locks'])
      await mkdir(join(this.folder, name), { recursive: true });
  }

  log(id: string): string {
    return join(this.folder, 'logs', `${id}.log`);
  }

  lock(id: string): string {
    return join(this.folder, 'locks', `${id}.lock`);
  }

  /** Where the output of `id` is made. The path depends on nothing but `id`, because some tools write it into their output. */
  staging(id: string): string {
    return join(this.folder, 'staging', id);
  }

  /**
   * Looks up `id`. Files whose size and time are as they were count as unchanged; others are read again, and with `verify` all are.
   * Marks the output as used now.
   */
  async find(id: string, verify = false): Promise<Found> {
    try {
      return await this.#find(id, verify);
    } catch (error) {
      // Somebody else removes it at this moment.
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #find(id: string, verify: boolean): Promise<Found> {
    const place = join(this.folder, 'tasks', id);
    const folder = join(place, 'out');
    const text = await readFile(join(place, 'output.json'), 'utf8');
    const manifest = parseManifest(text);
    if (manifest === undefined) return { damaged: 'its output.json cannot be read' };
    const known = new Map(manifest.entries.map((entry) => [entry.path, entry]));
    let touched = false;
    let entries: TreeEntry[];
    try {
      entries = await listTree(folder, async (file, path, size, mtime) => {
        const entry = known.get(path);
        if (entry?.kind !== 'file' || entry.size !== size) return 'other';
        if (!verify && entry.mtime === mtime) return entry.sha256;
        touched ||= entry.mtime !== mtime;
        return hashFile(file);
      });
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return { damaged: 'its files are gone' };
      throw error;
    }
    if (treeDigest(entries) !== manifest.digest)
      return { damaged: describeDamage(manifest.entries, entries) };
    // Copied with other times, but the same: the next check need not read it.
    if (touched) await this.#writeManifest(place, { ...manifest, entries });
    const now = new Date();
    await utimes(join(place, 'output.json'), now, now);
    return { output: { folder, digest: manifest.digest } };
  }

  /** Empties the place where `id` is made. The lock of `id` must be held. */
  async prepare(id: string): Promise<{ out: string; work: string }> {
    const place = this.staging(id);
    await rm(place, { recursive: true, force: true });
    const [out, work] = [join(place, 'out'), join(place, 'work')];
    await mkdir(out, { recursive: true });
    await mkdir(work);
    return { out, work };
  }

  /** Removes what stands in the staging place. The lock of `id` must be held. */
  async discard(id: string): Promise<void> {
    await rm(this.staging(id), { recursive: true, force: true });
  }

  /** Makes what stands in the staging place the output of `id`. The lock of `id` must be held. */
  async commit(id: string): Promise<Output> {
    const staging = this.staging(id);
    await rm(join(staging, 'work'), { recursive: true, force: true });
    const entries = await listTree(join(staging, 'out'));
    const digest = treeDigest(entries);
    await this.#writeManifest(staging, { version: 1, digest, entries });
    const place = join(this.folder, 'tasks', id);
    await rm(place, { recursive: true, force: true });
    await rename(staging, place);
    return { folder: join(place, 'out'), digest };
  }

  async #writeManifest(place: string, manifest: Manifest): Promise<void> {
    const draft = join(place, `output.json.${process.pid}`);
    await writeFile(draft, JSON.stringify(manifest));
    await rename(draft, join(place, 'output.json'));
  }
}

function parseManifest(text: string): Manifest | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isManifest(value) && treeDigest(value.entries) === value.digest ? value : undefined;
  } catch {
    return undefined;
  }
}

function isManifest(value: unknown): value is Manifest {
  if (typeof value !== 'object' || value === null) return false;
  const { version, digest, entries } = value as Partial<Manifest>;
  return version === 1 && typeof digest === 'string' && Array.isArray(entries);
}

function describeDamage(before: readonly TreeEntry[], after: readonly TreeEntry[]): string {
  const now = new Map(after.map((entry) => [entry.path, entry]));
  for (const entry of before) {
    const found = now.get(entry.path);
    if (found === undefined) return `${entry.path} is gone`;
    if (treeDigest([found]) === treeDigest([entry])) continue;
    if (entry.kind !== 'file' || found.kind !== 'file' || found.size === entry.size)
      return `${entry.path} has another content than was built`;
    return `${entry.path} has ${found.size} bytes instead of ${entry.size}`;
  }
  const known = new Set(before.map((entry) => entry.path));
  return `${after.find((entry) => !known.has(entry.path))?.path ?? 'a file'} was added`;
}
