// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { osTeam } from '@mbl/formats';
import {
  acceptApps,
  acceptRelease,
  Client,
  folderSource,
  listReleases,
  memoryStore,
  type Source,
  type Target,
  writePublished,
} from '@mbl/releases';
import { MblError } from '@mbl/trust';
import { HttpError, invalid } from '../../infra/http/errors.ts';
import { KeyedQueue } from '../../infra/keyed-queue.ts';
import { type Incoming, sizeOf } from './incoming.ts';

/** A file that is still to be sent. */
export interface MissingFile {
  readonly sha256: string;
  /** Relative to the repository. */
  readonly path: string;
  /** Bytes that it is to have; of metadata it is not known. */
  readonly size: number | null;
  /** Bytes that are there already. */
  readonly received: number;
}

/** What came of it: nothing is changed before all is there. */
export type PublicationResult =
  | { readonly state: 'incomplete'; readonly missing: readonly MissingFile[] }
  /** Metadata that is served from now on; none where it was before. */
  | { readonly state: 'published'; readonly metadata: readonly string[] };

/** TUF files, `N.root.json`, `N.<role>.json`, `timestamp.json`. */
export const metadataName = /^(?:timestamp|[1-9]\d{0,8}\.[a-z][a-z0-9-]{0,31})\.json$/;

const firstRoot = '1.root.json';
const mostMetadata = 4 * 1024 * 1024;

export interface PublicationParts {
  readonly incoming: Incoming;
  /** Unix time in milliseconds. */
  readonly now: () => number;
}

/**
 * Takes the next state of a repository that somebody signed elsewhere. It is judged as a device would, from the root with which the
 * served repository began and from all metadata that was ever served: what is older, forged, mixed up or not complete changes nothing.
 */
export class Publication {
  readonly #folder: string;
  readonly #parts: PublicationParts;
  readonly #queue = new KeyedQueue();

  constructor(folder: string, parts: PublicationParts) {
    this.#folder = folder;
    this.#parts = parts;
  }

  /** `metadata`: the files of the new state, each by its digest. Throws `validation_error` for one that a device would refuse. */
  async offer(metadata: ReadonlyMap<string, string>): Promise<PublicationResult> {
    return await this.#queue.run('publication', () => this.#offer(metadata));
  }

  async #offer(metadata: ReadonlyMap<string, string>): Promise<PublicationResult> {
    const { incoming } = this.#parts;
    await incoming.forget();
    const files = new Map<string, Buffer>();
    const missing: MissingFile[] = [];
    for (const [name, sha256] of metadata) {
      const content = (await incoming.read(sha256, mostMetadata)) ?? (await this.#servedAs(name, sha256));
      if (content !== undefined) files.set(name, content);
      else
        missing.push({
          sha256,
          path: `metadata/${name}`,
          size: null,
          received: await incoming.received(sha256),
        });
    }
    if (missing.length > 0) return { state: 'incomplete', missing };

    const fresh = await asRefusal(() => this.#judgeMetadata(files));
    const places = fresh.targets.map((target) => ({ ...placeOf(fresh.client, target), size: target.length }));
    for (const { sha256, path, size } of places) {
      const there = (await sizeOf(join(this.#folder, path))) ?? (await this.#sizeOfIncoming(sha256));
      if (there !== size) missing.push({ sha256, path, size, received: await incoming.received(sha256) });
    }
    if (missing.length > 0) return { state: 'incomplete', missing };
    await asRefusal(() => judgeReleases(fresh.client));

    const used = new Set(metadata.values());
    for (const { sha256, path } of places) {
      if ((await incoming.whole(sha256)) === undefined) continue;
      await incoming.place(sha256, join(this.#folder, path));
      used.add(sha256);
    }
    // The timestamp is last: until it is there, devices see what was there before.
    await writePublished(this.#folder, fresh.metadata);
    await incoming.forget(used);
    return { state: 'published', metadata: [...fresh.metadata.keys()] };
  }

  /** Metadata that is served already need not be sent. */
  async #servedAs(name: string, sha256: string): Promise<Buffer | undefined> {
    const content = await readIfThere(join(this.#folder, 'metadata', name));
    const digest = content && createHash('sha256').update(content).digest('hex');
    return digest === sha256 ? content : undefined;
  }

  async #sizeOfIncoming(sha256: string): Promise<number | undefined> {
    const path = await this.#parts.incoming.whole(sha256);
    return path === undefined ? undefined : await sizeOf(path);
  }

  /** What a device makes of the metadata that has seen all that was served before. */
  async #judgeMetadata(files: ReadonlyMap<string, Buffer>) {
    const before = await servedMetadata(this.#folder);
    const root = before?.root ?? files.get(firstRoot);
    if (root === undefined) throw invalid([{ name: 'metadata', message: `${firstRoot} is not there` }]);
    const opened = new Set<string>(before === undefined ? [firstRoot] : []);
    const source: Source = {
      open: async (path) => {
        if (!path.startsWith('metadata/')) return await this.#openTarget(path);
        const name = path.slice('metadata/'.length);
        const content = files.get(name);
        if (content !== undefined) opened.add(name);
        return content && once(content);
      },
    };
    const store = memoryStore(new Map(before?.files));
    const client = await Client.open({ root, source, store, now: new Date(this.#parts.now()) });
    const targets = await client.list();
    // What has a name once is signed for good.
    for (const { path, hashes } of targets)
      if ((before?.digests.get(path) ?? hashes.sha256) !== hashes.sha256) throw forked(path);
    await this.#assertUnchanged(files, opened);
    // What the client knew already is served already.
    const known = before?.files.get('timestamp.json');
    if (known !== undefined && versionOf(known) === client.trusted.requireTimestamp().signed.version) {
      // The client stayed with the one that it knew.
      if (!sameBytes(known, files.get('timestamp.json'))) throw forked('timestamp.json');
    }
    const newer = known === undefined || !sameBytes(known, files.get('timestamp.json'));
    return { client, targets, metadata: newer ? inOrder(files, opened) : new Map<string, Buffer>() };
  }

  /** A version that was served stays what it was: a repository that went another way has files of the same names. */
  async #assertUnchanged(files: ReadonlyMap<string, Buffer>, opened: ReadonlySet<string>): Promise<void> {
    for (const name of opened) {
      const served =
        name === 'timestamp.json' ? undefined : await readIfThere(join(this.#folder, 'metadata', name));
      if (served !== undefined && !sameBytes(served, files.get(name)) && (await this.#isReferenced(name)))
        throw forked(name);
    }
  }

  /** Whether the state that is served names the file; what a broken-off publication left is named by nobody. */
  async #isReferenced(name: string): Promise<boolean> {
    const served = await servedMetadata(this.#folder);
    const [, version, role = ''] = /^(\d+)\.(.+)\.json$/.exec(name) ?? [];
    if (role === 'root') return true;
    const content = served?.files.get(`${role}.json`);
    return content !== undefined && versionOf(content) === Number(version);
  }

  async #openTarget(path: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    const served = await folderSource(this.#folder).open(path);
    if (served !== undefined) return served;
    const sha256 = /\/([0-9a-f]{64})\.[^/]+$/.exec(path)?.[1];
    const file = sha256 === undefined ? undefined : await this.#parts.incoming.whole(sha256);
    return file === undefined ? undefined : once(await readFile(file));
  }
}

/** Where a file goes, and by which digest. Throws `validation_error` for a path that is none of ours: it becomes one of this machine. */
function placeOf(client: Client, target: Target): { sha256: string; path: string } {
  const path = client.locate(target);
  const { sha256 } = target.hashes;
  if (sha256 !== undefined && path.split('/').every((part) => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(part)))
    return { sha256, path };
  throw invalid([
    { name: 'metadata', message: `The file ${target.path} has a name, or a digest, that is not served here` },
  ]);
}

/** Every release in it is one that its boards would accept. */
async function judgeReleases(client: Client): Promise<void> {
  for (const { release } of await listReleases(client))
    if (release.team === osTeam)
      for (const { machine } of release.images)
        await acceptRelease(client, release, { machine, keys: release.keys, rollbackIndex: 0 });
    else await acceptApps(client, release, { keys: release.keys, rollbackIndex: 0 });
}

interface Served {
  readonly root: Buffer;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** SHA-256 of each target, by its path. */
  readonly digests: ReadonlyMap<string, string | undefined>;
}

/** The metadata that is served, as a client keeps it, and the root with which it began; undefined where nothing is served. */
async function servedMetadata(folder: string): Promise<Served | undefined> {
  const root = await readIfThere(join(folder, 'metadata', firstRoot));
  if (root === undefined || (await sizeOf(join(folder, 'metadata', 'timestamp.json'))) === undefined)
    return undefined;
  const files = new Map<string, Uint8Array>();
  // At a time at which nothing has expired: what was served counts, whether it holds or not.
  const client = await Client.open({
    root,
    source: folderSource(folder),
    store: memoryStore(files),
    now: new Date(0),
  });
  const targets = await client.list();
  return { root, files, digests: new Map(targets.map(({ path, hashes }) => [path, hashes.sha256])) };
}

/** The order in which files become visible: what names others after them. */
function inOrder(files: ReadonlyMap<string, Buffer>, opened: ReadonlySet<string>): Map<string, Buffer> {
  const rank = (name: string) =>
    name === 'timestamp.json'
      ? 3
      : /^\d+\.root\.json$/.test(name)
        ? 2
        : name.endsWith('.snapshot.json')
          ? 1
          : 0;
  const byVersion = new Intl.Collator('en', { numeric: true });
  const names = [...opened].toSorted((a, b) => rank(a) - rank(b) || byVersion.compare(a, b));
  return new Map(
    names.flatMap((name) => ((content) => (content ? [[name, content] as const] : []))(files.get(name))),
  );
}

async function asRefusal<T>(judge: () => Promise<T>): Promise<T> {
  try {
    return await judge();
  } catch (error) {
    if (!(error instanceof MblError) || error instanceof HttpError) throw error;
    throw new HttpError(
      'validation_error',
      `A device would refuse this repository: ${error.message}`,
      [{ name: 'metadata', message: error.code }],
      error,
    );
  }
}

function forked(name: string): MblError {
  return new MblError(
    'release/forked',
    `The service serves another ${name}: this repository is a copy that went another way.`,
    { remedy: 'Publish from the repository from which the service got its releases before' },
  );
}

function versionOf(content: Uint8Array): unknown {
  const { signed } = JSON.parse(Buffer.from(content).toString('utf8')) as { signed?: { version?: unknown } };
  return signed?.version;
}

function sameBytes(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return other !== undefined && Buffer.compare(one, other) === 0;
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  return (await sizeOf(path)) === undefined ? undefined : await readFile(path);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
