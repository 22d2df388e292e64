// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { osTeam, readText } from '@mbl/formats';
import {
  acceptRelease,
  type AcceptedRelease,
  type Board,
  Client,
  mapPath,
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
}

export interface VerifierOptions {
  /** The root of the metadata that the image was made with, a file of the signed root. */
  readonly root: string;
  /** Folder of the metadata that was seen before, so that nobody can lead the board back. */
  readonly seen: string;
  readonly now?: () => Date;
}

/** The client of TUF (TUF 1.0.34 §5) over files that another process fetches. */
export function tufVerifier({ root, seen, now = () => new Date() }: VerifierOptions): ReleaseVerifier {
  return {
    async verify(name, files, board) {
      const source = new OfferedFiles(files);
      try {
        const client = await Client.open({
          root: await bornRoot(root),
          source,
          store: seenMetadata(seen),
          now: now(),
        });
        const accepted = await acceptRelease(client, { team: osTeam, name }, board);
        return { accepted, locate: (target) => client.locate(target) };
      } catch (error) {
        if (source.missing !== undefined) return { missing: source.missing };
        throw error;
      }
    },
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
    const { dataSize, rootHash, salt, indexSize, indexSha256, streamSize = 0, maps } = payload;
    const known = maps.find(({ source }) => source === places.rootHash);
    components.push({
      name,
      device: places.device(partition),
      running: places.running(partition),
      size,
      sha256,
      dataSize,
      rootHash,
      salt,
      payload: { file: locate(target), size: payload.size, indexSize, indexSha256 },
      map:
        known === undefined
          ? { file: '', size: 0 }
          : { file: `targets/${mapPath(osTeam, rootHash, known.source)}`, size: known.size },
      stream: {
        file: streamSize === 0 ? '' : `targets/${streamPath(osTeam, rootHash)}`,
        size: streamSize,
      },
    });
  }
  // The kernel names the root that it opens: one without the other would not start.
  for (const name of ['kernel', 'root'])
    if (!components.some((component) => component.name === name)) throw refuse(`it has no ${name}`);
  return components;
}
