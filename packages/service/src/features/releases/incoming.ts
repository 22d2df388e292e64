// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HttpError, invalid } from '../../infra/http/errors.ts';

/** Bytes of one piece. */
export const largestPiece = 8 * 1024 * 1024;

/** How long a file waits for its publication, in milliseconds. */
const keepMs = 24 * 3_600_000;

/**
 * Files that are sent for a repository, by their content: each is built from pieces, and is there when its digest is the one that names it.
 * Nothing of it is served.
 */
export class Incoming {
  readonly #folder: string;
  readonly #now: () => number;

  /** `now`: Unix time in milliseconds. */
  constructor(repository: string, now: () => number) {
    this.#now = now;
    this.#folder = join(repository, 'incoming');
  }

  /** The whole file, where it is there. */
  async whole(sha256: string): Promise<string | undefined> {
    const path = join(this.#folder, sha256);
    return (await sizeOf(path)) === undefined ? undefined : path;
  }

  async read(sha256: string, most: number): Promise<Buffer | undefined> {
    const path = await this.whole(sha256);
    if (path === undefined || ((await sizeOf(path)) ?? 0) > most) return undefined;
    return await readFile(path);
  }

  /** How many bytes of a file are there. */
  async received(sha256: string): Promise<number> {
    return (await sizeOf(join(this.#folder, sha256))) ?? (await sizeOf(this.#part(sha256))) ?? 0;
  }

  /**
   * Adds a piece behind what is there. `last`: it is to be the whole file now. Throws `conflict` for a piece that does not follow,
   * `validation_error` for a file that is another one, which is thrown away.
   */
  async add(
    sha256: string,
    piece: Uint8Array,
    { offset, last }: { offset: number; last: boolean },
  ): Promise<void> {
    if ((await this.whole(sha256)) !== undefined) return;
    await mkdir(this.#folder, { recursive: true });
    const part = this.#part(sha256);
    const there = (await sizeOf(part)) ?? 0;
    if (offset !== there)
      throw new HttpError('conflict', `The file has ${there} bytes: the next piece begins there`);
    {
      await using file = await open(part, 'a', 0o644);
      await file.writeFile(piece);
      if (!last) return;
      await file.sync();
    }
    if ((await digestOf(part)) !== sha256) {
      await rm(part, { force: true });
      throw invalid([{ name: 'sha256', message: 'The file has another digest; send it again' }]);
    }
    await rename(part, join(this.#folder, sha256));
    await syncFolder(this.#folder);
  }

  /** Puts a file into its place, whole and on the disk. */
  async place(sha256: string, path: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    // One content may have several places.
    await link(join(this.#folder, sha256), path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
    await syncFolder(dirname(path));
  }

  /** Forgets files; without digests those that nobody published in a day. */
  async forget(digests?: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const path = join(this.#folder, name);
      const old = async () => (await stat(path)).mtimeMs < this.#now() - keepMs;
      if (digests === undefined ? await old() : digests.has(name)) await rm(path, { force: true });
    }
  }

  #part(sha256: string): string {
    return join(this.#folder, `${sha256}.part`);
  }
}

export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

async function syncFolder(folder: string): Promise<void> {
  await using directory = await open(folder, 'r');
  await directory.sync();
}
