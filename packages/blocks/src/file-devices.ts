// SPDX-License-Identifier: Apache-2.0
import { constants, type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BlockDisk, BlockSource, JournalStore } from './devices.ts';
import { BLOCK_SIZE } from './layout.ts';

export interface FileExtent {
  readonly name: string;
  /** A file or a block device. */
  readonly path: string;
  /** Bytes from its start; default 0. */
  readonly offset?: number;
  /** Of 4096 bytes. */
  readonly blocks: number;
  /** Bytes of them that are the file's, where it is not whole blocks: zeros follow. */
  readonly size?: number;
}

/** Blocks in a file or on a block device. */
export class FileSource implements BlockSource, AsyncDisposable {
  readonly name: string;
  readonly blocks: number;
  protected readonly file: FileHandle;
  readonly #offset: number;
  readonly #size: number;

  protected constructor(extent: FileExtent, file: FileHandle) {
    this.name = extent.name;
    this.blocks = extent.blocks;
    this.#offset = extent.offset ?? 0;
    this.#size = extent.size ?? extent.blocks * BLOCK_SIZE;
    this.file = file;
  }

  /** Throws what opening throws. */
  static async open(extent: FileExtent): Promise<FileSource> {
    return new FileSource(extent, await open(extent.path));
  }

  async read(first: number, into: Uint8Array): Promise<void> {
    const position = this.place(first, into);
    const end = Math.max(0, Math.min(into.length, this.#size - first * BLOCK_SIZE));
    into.fill(0, end);
    for (let done = 0; done < end; ) {
      const { bytesRead } = await this.file.read(into, done, end - done, position + done);
      if (bytesRead === 0) throw new Error(`${this.name} ends at byte ${position + done}`);
      done += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
  }

  /** Where the bytes of those blocks are; throws when they are not all in the extent. */
  protected place(first: number, bytes: Uint8Array): number {
    if (first < 0 || first * BLOCK_SIZE + bytes.length > this.blocks * BLOCK_SIZE)
      throw new Error(`${this.name} has no ${bytes.length} bytes from block ${first} on`);
    return this.#offset + first * BLOCK_SIZE;
  }
}

/**
 * Blocks that may be written. Reads come from the kernel's cache, which holds what was written and not what the medium made of it: whoever must know that
 * has the cache dropped in `flush`.
 */
export class FileDisk extends FileSource implements BlockDisk {
  static override async open(extent: FileExtent): Promise<FileDisk> {
    return new FileDisk(extent, await open(extent.path, constants.O_RDWR));
  }

  async write(first: number, blocks: Uint8Array): Promise<void> {
    const position = this.place(first, blocks);
    for (let done = 0; done < blocks.length; ) {
      const { bytesWritten } = await this.file.write(blocks, done, blocks.length - done, position + done);
      done += bytesWritten;
    }
  }

  async flush(): Promise<void> {
    await this.file.datasync();
  }
}

/** A journal as a file that is replaced: the new one is on the medium before it takes the old one's name. */
export class FileJournal implements JournalStore {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<Uint8Array | undefined> {
    return await readFile(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    const next = `${this.#path}.new`;
    {
      await using file = await open(next, 'w');
      await file.writeFile(bytes);
      await file.sync();
    }
    await rename(next, this.#path);
    await using folder = await open(dirname(this.#path));
    await folder.sync();
  }
}
