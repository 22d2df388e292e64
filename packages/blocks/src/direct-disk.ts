// SPDX-License-Identifier: Apache-2.0
import { constants, type FileHandle, open } from 'node:fs/promises';
import type { BlockDisk } from './devices.ts';
import type { FileExtent } from './file-devices.ts';
import { BLOCK_SIZE, FANOUT } from './layout.ts';

/** Bytes, a multiple of 4096, whose start suits O_DIRECT: V8 makes a buffer that may change its size of whole pages, and no other. */
export function alignedBuffer(size: number): Buffer {
  return Buffer.from(new ArrayBuffer(size, { maxByteLength: size }));
}

/**
 * Opens a file or block device past the kernel's cache (open(2), O_DIRECT): what is read is what the medium gives. Offsets and sizes must be
 * multiples of 4096, buffers aligned. On a file system that has no such thing (tmpfs of older kernels) it is opened as any file.
 */
export async function openDirect(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags | constants.O_DIRECT);
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EINVAL')) throw cause;
    return await open(path, flags);
  }
}

/** Blocks of 4096 bytes that a file or block device has. A device says its size by an ioctl only; so this looks where it ends. */
export async function countBlocks(path: string): Promise<number> {
  await using file = await open(path);
  const { size } = await file.stat();
  if (size > 0) return Math.floor(size / BLOCK_SIZE);
  const byte = Buffer.alloc(1);
  const ends = async (blocks: number): Promise<boolean> =>
    (await file.read(byte, 0, 1, blocks * BLOCK_SIZE - 1)).bytesRead === 0;
  let [least, most] = [0, 1];
  for (; most < 2 ** 40 && !(await ends(most)); most *= 2) least = most;
  while (most - least > 1) {
    const middle = Math.floor((least + most) / 2);
    if (await ends(middle)) most = middle;
    else least = middle;
  }
  return least;
}

/** A slot on a block device, past the kernel's cache: each write is on the medium when it is done, and each read comes from there. */
export class DirectDisk implements BlockDisk, AsyncDisposable {
  readonly name: string;
  readonly blocks: number;
  readonly #file: FileHandle;
  /** What goes in and out passes through it: the caller's buffers lie anywhere. */
  readonly #bounce = alignedBuffer(FANOUT * BLOCK_SIZE);

  private constructor({ name, blocks }: FileExtent, file: FileHandle) {
    this.name = name;
    this.blocks = blocks;
    this.#file = file;
  }

  /** Throws what opening throws. */
  static async open(extent: Pick<FileExtent, 'name' | 'path' | 'blocks'>): Promise<DirectDisk> {
    return new DirectDisk(extent, await openDirect(extent.path, constants.O_RDWR | constants.O_DSYNC));
  }

  async read(first: number, into: Uint8Array): Promise<void> {
    await this.#move(first, into.length, async (at, size, position) => {
      const { bytesRead } = await this.#file.read(this.#bounce, 0, size, position);
      if (bytesRead !== size) throw new Error(`${this.name} ends at byte ${position + bytesRead}`);
      into.set(this.#bounce.subarray(0, size), at);
    });
  }

  async write(first: number, blocks: Uint8Array): Promise<void> {
    await this.#move(first, blocks.length, async (at, size, position) => {
      this.#bounce.set(blocks.subarray(at, at + size));
      const { bytesWritten } = await this.#file.write(this.#bounce, 0, size, position);
      if (bytesWritten !== size) throw new Error(`${this.name} takes no byte at ${position + bytesWritten}`);
    });
  }

  async flush(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  async #move(
    first: number,
    bytes: number,
    step: (at: number, size: number, position: number) => Promise<void>,
  ): Promise<void> {
    if (first < 0 || first * BLOCK_SIZE + bytes > this.blocks * BLOCK_SIZE)
      throw new Error(`${this.name} has no ${bytes} bytes from block ${first} on`);
    for (let at = 0; at < bytes; at += this.#bounce.length)
      await step(at, Math.min(this.#bounce.length, bytes - at), first * BLOCK_SIZE + at);
  }
}
