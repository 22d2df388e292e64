// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { readHeader, paxRecords, tarBlock, tarTypes } from '@mbl/blocks';
import { badImage, ofImage } from '../errors.ts';
import { partsOf } from '../layers/names.ts';

/** A file of an image, as the tool left it that made the image. */
export interface ImageFile {
  readonly size: number;
  /** Its bytes from the start; to be called as often as one likes. */
  read(): AsyncIterable<Buffer>;
}

/** The files of an image: a folder, or an archive that is read where it lies. */
export interface ImageFiles extends AsyncDisposable {
  /** Undefined where there is none. */
  file(path: string): Promise<ImageFile | undefined>;
}

/** A folder of files: the layout of OCI, or an archive of Docker's that was unpacked. */
export class FolderFiles implements ImageFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async file(path: string): Promise<ImageFile | undefined> {
    const parts = partsOf(path, 16);
    try {
      // O_NONBLOCK: a named pipe would be waited for without end.
      await using handle = await open(
        join(this.#folder, ...parts),
        constants.O_RDONLY | constants.O_NONBLOCK,
      );
      const info = await handle.stat();
      if (!info.isFile()) return undefined;
      const place = join(this.#folder, ...parts);
      return { size: info.size, read: () => readRange(place, 0, info.size) };
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw cause;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is open.
  }
}

/** The most files of an archive that holds an image: layers and what describes them. */
const mostFiles = 4096;
const mostName = 64 * 1024;

/** An archive of files, of which only the headers are read at first. */
export class ArchiveFiles implements ImageFiles {
  readonly #path: string;
  readonly #files: ReadonlyMap<string, { offset: number; size: number } | { link: string }>;
  readonly #dispose: () => Promise<void>;

  private constructor(
    path: string,
    files: ReadonlyMap<string, { offset: number; size: number } | { link: string }>,
    dispose: () => Promise<void>,
  ) {
    this.#path = path;
    this.#files = files;
    this.#dispose = dispose;
  }

  /**
   * Undefined for what has no file among `wanted` at its top: another kind of archive. `dispose` is called at the end. Throws
   * `apps/bad-image`.
   */
  static async open(
    path: string,
    wanted: readonly string[],
    dispose: () => Promise<void> = async () => undefined,
  ): Promise<ArchiveFiles | undefined> {
    await using handle = await open(path, 'r');
    const { size } = await handle.stat();
    const files = await listFiles(handle, size).catch((cause: unknown) => {
      throw ofImage('the archive', cause);
    });
    return wanted.some((name) => files.has(name)) ? new ArchiveFiles(path, files, dispose) : undefined;
  }

  async file(path: string): Promise<ImageFile | undefined> {
    let at = partsOf(path, 16).join('/');
    for (let hops = 0; hops < 16; hops += 1) {
      const found = this.#files.get(at);
      if (found === undefined) return undefined;
      if (!('link' in found)) {
        const { offset, size } = found;
        return { size, read: () => readRange(this.#path, offset, size) };
      }
      at = found.link;
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }
}

/** Where the files of an archive lie. An archive of more files than an image needs is none: a root file system. */
async function listFiles(
  handle: FileHandle,
  end: number,
): Promise<Map<string, { offset: number; size: number } | { link: string }>> {
  const files = new Map<string, { offset: number; size: number } | { link: string }>();
  const read = async (offset: number, size: number): Promise<Buffer> => {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size), 0, size, offset);
    if (bytesRead < size) throw badImage('the archive is cut off');
    return buffer;
  };
  if (end < tarBlock) throw badImage('it is no tar archive');
  let name: string | undefined;
  let link: string | undefined;
  let long: number | undefined;
  for (let offset = 0, count = 0; offset + tarBlock <= end && count < mostFiles; count += 1) {
    const header = readHeader(await read(offset, tarBlock));
    if (header === undefined) break;
    const { kind } = header;
    const extra = kind === 'x' || kind === 'L' || kind === 'K' || kind === 'g';
    const size = extra ? header.size : (long ?? header.size);
    const start = offset + tarBlock;
    if (start + size > end) throw badImage('the archive is cut off');
    offset = start + Math.ceil(size / tarBlock) * tarBlock;
    if (extra) {
      if (size > mostName) throw badImage('a header of the archive is too long');
      const data = await read(start, size);
      const plain = data.toString().replace(/\0.*$/s, '');
      if (kind === 'L') name = plain;
      if (kind === 'K') link = plain;
      if (kind === 'x')
        for (const [keyword, value] of paxRecords(data)) {
          if (keyword === 'path') name = value.toString();
          if (keyword === 'linkpath') link = value.toString();
          if (keyword === 'size' && /^\d{1,15}$/.test(value.toString())) long = Number(value.toString());
        }
      continue;
    }
    const parts = partsOf(name ?? header.name, 64);
    const type = tarTypes[kind];
    const target = link ?? header.link;
    if (type === 'file') files.set(parts.join('/'), { offset: start, size });
    if (type === 'hardlink') files.set(parts.join('/'), { link: partsOf(target, 64).join('/') });
    if (type === 'symlink') {
      const place = within(parts.slice(0, -1), target);
      if (place !== undefined) files.set(parts.join('/'), { link: place });
    }
    name = undefined;
    link = undefined;
    long = undefined;
  }
  return files;
}

/** Where a symbolic link leads within the archive; undefined when it leads out. */
function within(folder: readonly string[], target: string): string | undefined {
  if (target.startsWith('/')) return undefined;
  const at = [...folder];
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') at.push(part);
    else if (at.pop() === undefined) return undefined;
  }
  return at.join('/');
}

async function* readRange(path: string, offset: number, size: number): AsyncGenerator<Buffer> {
  await using handle = await open(path, 'r');
  for (let at = 0; at < size; ) {
    const want = Math.min(1 << 18, size - at);
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(want), 0, want, offset + at);
    if (bytesRead === 0) throw badImage('a file of it became shorter');
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
