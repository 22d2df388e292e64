// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { indexTar, type JournalStore, type Mirror, type TarPlace } from '@mbl/blocks';
import { isReleaseName, releaseNameRule } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { bringComponent } from './bring.ts';
import { mostMetadataBytes, type ReleasePlace } from './repository.ts';

/** In a package: in its first line the release that it brings, as on a medium. */
const releaseFile = 'release.txt';
const longestReleaseFile = 4096;
/** A release has a few files, and at most as many roots as the platform follows. */
const mostFiles = 1024;
const pieceBytes = 128 * 1024;

/** A release in one file, a tar archive of what a medium has (docs/decisions/0039): read where it lies, never unpacked, and not believed. */
export class ReleasePackage implements ReleasePlace, AsyncDisposable {
  readonly release: string;
  readonly #file: FileHandle;
  readonly #files: ReadonlyMap<string, TarPlace>;
  readonly #name: string;

  private constructor(file: FileHandle, files: ReadonlyMap<string, TarPlace>, name: string, release: string) {
    this.#file = file;
    this.#files = files;
    this.#name = name;
    this.release = release;
  }

  /** Throws `device/bad-package` for what is none. */
  static async open(path: string): Promise<ReleasePackage> {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { size } = await file.stat();
      const read = async (offset: number, length: number) => await readAll(file, offset, length);
      const files = await indexTar({ size, read }, mostFiles);
      const named = files.get(releaseFile);
      if (named === undefined || named.size > longestReleaseFile) throw bad(`it has no ${releaseFile}`);
      const text = (await read(named.offset, named.size)).toString('utf8');
      const release = (text.split('\n')[0] ?? '').trim();
      if (!isReleaseName(release)) throw bad(`its ${releaseFile} names no release: ${releaseNameRule}`);
      return new ReleasePackage(file, files, basename(path), release);
    } catch (cause) {
      await file.close();
      if (cause instanceof MblError && cause.code === 'blocks/bad-archive') throw bad(cause.message, cause);
      throw cause;
    }
  }

  async metadata(name: string, most: number): Promise<string> {
    const place = this.#files.get(name);
    if (place === undefined) return '';
    if (place.size > Math.min(most, mostMetadataBytes)) throw bad(`${name} is too large`);
    return (await readAll(this.#file, place.offset, place.size)).toString('utf8');
  }

  async bring(...[component, options]: Parameters<ReleasePlace['bring']>): ReturnType<ReleasePlace['bring']> {
    const own = { journal: nothingKept, stallMs: 60_000, rounds: 1 };
    try {
      return await bringComponent(component, this.#mirror(), { ...options, ...own });
    } catch (cause) {
      if (!(cause instanceof MblError) || cause.code !== 'blocks/no-mirror') throw cause;
      // It will not have later what it lacks now.
      throw new MblError('device/package-incomplete', cause.message, { cause });
    }
  }

  async forget(): Promise<void> {
    // Nothing was spent.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  #mirror(): Mirror {
    const [files, file, name] = [this.#files, this.#file, this.#name];
    return {
      name: `the package ${name}`,
      async get(path, start, end) {
        const place = files.get(path);
        if (place === undefined || end > place.size) throw bad(`it lacks ${path}`);
        return await Promise.resolve({ body: pieces(file, place.offset + start, end - start) });
      },
    };
  }
}

async function* pieces(file: FileHandle, offset: number, length: number): AsyncGenerator<Buffer> {
  for (let done = 0; done < length; done += pieceBytes)
    yield await readAll(file, offset + done, Math.min(pieceBytes, length - done));
}

async function readAll(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(buffer, at, length - at, offset + at);
    if (bytesRead === 0) throw bad('it is cut off');
    at += bytesRead;
  }
  return buffer;
}

/** What is on the board's own disk costs nothing on the wire. */
const nothingKept: JournalStore = {
  read: async () => await Promise.resolve(undefined),
  write: async () => await Promise.resolve(),
};

function bad(why: string, cause?: unknown): MblError {
  return new MblError('device/bad-package', `this is no package of a release: ${why}`, {
    remedy: 'Make one with: ./mbl release package',
    cause,
  });
}
