// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { osTeam, readText, type Release, type ReleasePayload } from '@mbl/formats';
import {
  acceptApps,
  type AcceptedApp,
  type AcceptedRelease,
  acceptRelease,
  type Board,
  Client,
  mapPath,
  memoryStore,
  type MetadataStore,
  type Source,
  streamPath,
  type Target,
} from '@mbl/releases';
import { MblError } from '@mbl/trust';
import { writeAtomic } from '../common/files.ts';
import { firmwareComponent } from '../firmware/release.ts';
import type { InstallComponent } from './update.ts';

/** A release that its team signed and this board may have, and where a target lies in the repository. */
export interface SignedRelease {
  readonly accepted: AcceptedRelease;
  readonly locate: (target: Target) => string;
}

/** A release of a team's apps that this board may have. */
export interface SignedApps {
  readonly release: Release;
  readonly apps: readonly AcceptedApp[];
  readonly locate: (target: Target) => string;
  /** All that a client that has seen nothing needs to come to the same verdict, by its name in the repository. */
  readonly vouching: ReadonlyMap<string, string>;
}

/** Judges metadata that somebody brings, a file at a time. */
export interface ReleaseVerifier {
  /**
   * `files` by their names in the repository; an empty one says that the repository has none. Throws `MblError` for what nobody signed, is too
   * old, out of date or not for this board.
   */
  verify(
    release: string,
    files: ReadonlyMap<string, string>,
    board: Board,
  ): Promise<SignedRelease | { readonly missing: string }>;
  /** The same of a release of apps. */
  verifyApps(
    wanted: { readonly team: string; readonly name: string },
    files: ReadonlyMap<string, string>,
    board: Omit<Board, 'machine'>,
  ): Promise<SignedApps | { readonly missing: string }>;
}

export interface VerifierOptions {
  /** The root of the metadata that the image was made with, a file of the signed root. */
  readonly root: string;
  /** Folder of the metadata that was seen before, so that nobody can lead the board back. */
  readonly seen: string;
  readonly now?: () => Date;
}

/**
 * The client of TUF (TUF 1.0.34 §5) over files that another process fetches. There is one repository, and one memory of it: what was seen for the operating
 * system holds for apps too.
 */
export function tufVerifier({ root, seen, now = () => new Date() }: VerifierOptions): ReleaseVerifier {
  const store = seenMetadata(seen);
  /** One after the other: of two that keep what they saw, the older one could be the last. */
  let turn: Promise<unknown> = Promise.resolve();
  const judge = async <T>(
    files: ReadonlyMap<string, string>,
    decide: (client: Client) => Promise<T>,
  ): Promise<T | { readonly missing: string }> => {
    const done = turn.then(async () => {
      const source = new OfferedFiles(files);
      try {
        return await decide(await Client.open({ root: await bornRoot(root), source, store, now: now() }));
      } catch (error) {
        if (source.missing !== undefined) return { missing: source.missing };
        throw error;
      }
    });
    turn = done.catch(() => undefined);
    return await done;
  };
  return {
    verify: async (name, files, board) =>
      await judge(files, async (client) => {
        const accepted = await acceptRelease(client, { team: osTeam, name }, board);
        return { accepted, locate: (target: Target) => client.locate(target) };
      }),
    verifyApps: async (wanted, files, board) =>
      await judge(files, async (client) => {
        const accepted = await acceptApps(client, wanted, board);
        // What this board has seen before was not asked for: it is looked up.
        const all = new SeenFiles(files, store);
        const options = { root: await bornRoot(root), source: all, store: memoryStore(), now: now() };
        await acceptApps(await Client.open(options), wanted, board);
        return { ...accepted, locate: (target: Target) => client.locate(target), vouching: all.used };
      }),
  };
}

async function bornRoot(path: string): Promise<Uint8Array> {
  return await readFile(path).catch((cause: unknown) => {
    throw new MblError('device/no-release-root', 'the image was made without a root for releases', { cause });
  });
}

/** Files that were handed in; remembers the first that was asked for and was not among them. */
class OfferedFiles implements Source {
  readonly #files: ReadonlyMap<string, string>;
  missing: string | undefined;

  constructor(files: ReadonlyMap<string, string>) {
    this.#files = files;
  }

  open(path: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    const content = this.#files.get(path);
    if (content === undefined) {
      this.missing ??= path;
      return Promise.reject(new Error(`${path} is not there yet`));
    }
    return Promise.resolve(content === '' ? undefined : pieces(content));
  }
}

/** Files that were handed in, and those of before under the names that they have in the repository; remembers which were there. */
class SeenFiles implements Source {
  readonly used = new Map<string, string>();
  readonly #files: ReadonlyMap<string, string>;
  readonly #store: MetadataStore;

  constructor(files: ReadonlyMap<string, string>, store: MetadataStore) {
    this.#files = files;
    this.#store = store;
  }

  async open(path: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    const content = this.#files.get(path) ?? (await this.#seen(path)) ?? '';
    if (content === '') return undefined;
    this.used.set(path, content);
    return pieces(content);
  }

  /** A root has its version in the store too; of the others there is one, the newest (TUF 1.0.34 §5). */
  async #seen(path: string): Promise<string | undefined> {
    const [, name = '', role] = /^metadata\/(\d+\.(.+)\.json)$/.exec(path) ?? [];
    if (role === undefined) return undefined;
    const bytes = await this.#store.read(role === 'root' ? name : `${role}.json`);
    return bytes && Buffer.from(bytes).toString('utf8');
  }
}

// oxlint-disable-next-line require-await -- an iterable that is asynchronous by its type.
async function* pieces(content: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(content);
}

const mostSeenBytes = 4 << 20;

function seenMetadata(folder: string): MetadataStore {
  return {
    // What is damaged counts as not there: it is fetched again.
    async read(name) {
      const text = await readText(join(folder, name), mostSeenBytes).catch(() => undefined);
      return text === undefined ? undefined : Buffer.from(text);
    },
    // Node's permission model has no fsync.
    async write(name, bytes) {
      const write = async () => {
        await mkdir(folder, { recursive: true });
        await writeAtomic(join(folder, name), Buffer.from(bytes).toString('utf8'), 0o644);
      };
      try {
        await write();
      } catch {
        // A file in the place of a folder, or the other way round.
        await rm(folder, { recursive: true, force: true });
        await write();
      }
    },
  };
}

/** Where a component goes: a partition of the slot, or the file that stands for the idle bank. */
const partitions: Readonly<Record<string, string>> = {
  kernel: 'boot',
  root: 'root',
  [firmwareComponent]: firmwareComponent,
};

/** Where components go on this board, and what it has. */
export interface Places {
  /** The partition of the idle slot, and of the one that runs, by `boot` and `root`; the file of the boot firmware, and ''. */
  readonly device: (partition: string) => string;
  readonly running: (partition: string) => string;
  /** Of the running root; '' where nobody knows. */
  readonly rootHash: string;
  /** Whether the boot firmware is to be installed. */
  readonly firmware: boolean;
}

/** What a device fetches of a component, from the payload that makes it; `known`: of what the device has, the root hash by which a copy map names it. */
export function placePayload(
  team: string,
  { payload, file }: { readonly payload: ReleasePayload; readonly file: string },
  known: string,
): Pick<InstallComponent, 'dataSize' | 'rootHash' | 'salt' | 'payload' | 'map' | 'stream'> {
  const { dataSize, rootHash, salt, size, indexSize, indexSha256, streamSize = 0, maps } = payload;
  const map = maps.find(({ source }) => source === known);
  return {
    dataSize,
    rootHash,
    salt,
    payload: { file, size, indexSize, indexSha256 },
    map:
      map === undefined
        ? { file: '', size: 0 }
        : { file: `targets/${mapPath(team, rootHash, map.source)}`, size: map.size },
    stream: { file: streamSize === 0 ? '' : `targets/${streamPath(team, rootHash)}`, size: streamSize },
  };
}

/** What of a release goes where on this board. Throws `device/release-refused` for one that is not whole. */
export function placeRelease({ accepted, locate }: SignedRelease, places: Places): InstallComponent[] {
  const { release } = accepted;
  const refuse = (why: string) => new MblError('device/release-refused', `${release.name}: ${why}`);
  const components: InstallComponent[] = [];
  for (const { component, payload: target } of accepted.components) {
    const { name, size, sha256, payload } = component;
    const partition = partitions[name];
    if (partition === undefined || (name === firmwareComponent && !places.firmware)) continue;
    if (payload === undefined || target === undefined)
      throw refuse(`it has no payload of its ${name}: an older program made it`);
    components.push({
      name,
      device: places.device(partition),
      running: places.running(partition),
      size,
      sha256,
      ...placePayload(osTeam, { payload, file: locate(target) }, places.rootHash),
    });
  }
  // The kernel names the root that it opens: one without the other would not start.
  for (const name of ['kernel', 'root'])
    if (!components.some((component) => component.name === name)) throw refuse(`it has no ${name}`);
  return components;
}
