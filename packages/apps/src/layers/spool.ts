// SPDX-License-Identifier: Apache-2.0
import { readSync } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A piece of the spool: the content of a file. */
export interface Content {
  readonly offset: number;
  readonly size: number;
}

export const emptyContent: Content = { offset: 0, size: 0 };

/** Contents of files, one after the other in a temporary file: a layer may be larger than memory. Holes of sparse files stay holes. */
export class Spool implements AsyncDisposable {
  readonly #folder: string;
  readonly #file: FileHandle;
  #pending: Buffer[] = [];
  #pendingSize = 0;
  #written = 0;
  #end = 0;

  private constructor(folder: string, file: FileHandle) {
    this.#folder = folder;
    this.#file = file;
  }

  static async open(parent: string): Promise<Spool> {
    const folder = await mkdtemp(join(parent, 'mbl-app-'));
    return new Spool(folder, await open(join(folder, 'spool'), 'wx+', 0o600));
  }

  /** Where the next byte goes. */
  get end(): number {
    return this.#end;
  }

  async append(piece: Buffer): Promise<void> {
    this.#pending.push(piece);
    this.#pendingSize += piece.length;
    this.#end += piece.length;
    if (this.#pendingSize >= 1 << 20) await this.#flush();
  }

  /** Leaves a hole. */
  async skip(size: number): Promise<void> {
    await this.#flush();
    this.#end += size;
    this.#written = this.#end;
    await this.#file.truncate(this.#end);
  }

  /** To be called before contents are read. */
  async finish(): Promise<void> {
    await this.#flush();
  }

  /** Reads without waiting: who makes a file system of it takes one content after the other. */
  read({ offset, size }: Content): Buffer {
    const buffer = Buffer.allocUnsafe(size);
    for (let at = 0; at < size; ) {
      const got = readSync(this.#file.fd, buffer, at, Math.min(size - at, 1 << 30), offset + at);
      if (got === 0) throw new Error('the spool of an app was cut off');
      at += got;
    }
    return buffer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #flush(): Promise<void> {
    if (this.#pendingSize === 0) return;
    const bytes = Buffer.concat(this.#pending);
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at, this.#written);
      at += bytesWritten;
      this.#written += bytesWritten;
    }
    this.#pending = [];
    this.#pendingSize = 0;
  }
}
