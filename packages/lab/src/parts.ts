// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Extent } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { boardFiles } from './emulator.ts';
import type { BoardImage } from './image.ts';

/** Where a part lies: `flash.bin` or `disk.img` of the board, bytes from its start. */
export interface Part extends Extent {
  readonly file: 'flash' | 'disk';
}

export interface PartOptions {
  /** Which of the two slots `root`, `hash-tree` and the FIT's parts are in; default `a`. */
  readonly slot?: 'a' | 'b';
}

export interface FlipOptions extends PartOptions {
  readonly part: string;
  /** Byte within the part. Default: its middle; for `root` 0, its first block. */
  readonly offset?: number;
  /** 0 to 7, default 0. */
  readonly bit?: number;
}

const verityMagic = 'verity\0\0';
const verityBlock = 4096;

/**
 * Finds a part by name: `flash`, `disk`, a part of the flash (`bl1`, `bl2`, …), a partition, `fit` or a part of it (`kernel`,
 * `initramfs`, `fdt`), `root` (the file system) or `hash-tree`. Error: `lab/unknown-part` with the names there are.
 */
export async function findPart(
  directory: string,
  image: BoardImage,
  name: string,
  options: PartOptions = {},
): Promise<Part> {
  const { slot = 'a' } = options;
  const flash = image.flash.parts[name];
  if (flash !== undefined) return { file: 'flash', offset: flash.offset, size: flash.size };
  if (name === 'flash') return { file: 'flash', offset: 0, size: image.flash.size };
  if (name === 'disk') return { file: 'disk', offset: 0, size: image.disk.size };
  const partition = (wanted: string): Extent | undefined =>
    image.disk.partitions.find((entry) => entry.name === wanted);
  const own = partition(name);
  if (own !== undefined) return { file: 'disk', offset: own.offset, size: own.size };

  const boot = partition(`boot_${slot}`);
  const root = partition(`root_${slot}`);
  const inFit = image.fit.parts[name];
  if (boot !== undefined) {
    if (name === 'fit') return { file: 'disk', offset: boot.offset, size: boot.size };
    if (inFit !== undefined) return { file: 'disk', offset: boot.offset + inFit.offset, size: inFit.size };
  }
  if (root !== undefined) {
    if (name === 'root') return { file: 'disk', offset: root.offset, size: image.root.dataSize };
    if (name === 'hash-tree') return await findHashTree(directory, image, root);
  }
  throw unknownPart(image, name);
}

/** The tree itself, behind the verity superblock if there is one. */
async function findHashTree(directory: string, image: BoardImage, root: Extent): Promise<Part> {
  const offset = root.offset + image.root.hashOffset;
  const size = root.size - image.root.hashOffset;
  const file = await open(join(directory, boardFiles.disk));
  try {
    const start = await readAt(file, offset, verityMagic.length);
    const skip = start.toString('latin1') === verityMagic ? verityBlock : 0;
    return { file: 'disk', offset: offset + skip, size: size - skip };
  } finally {
    await file.close();
  }
}

function unknownPart(image: BoardImage, name: string): MblError {
  const known = [
    ...Object.keys(image.flash.parts),
    ...['fit', ...Object.keys(image.fit.parts), 'root', 'hash-tree'],
    ...image.disk.partitions.map((partition) => partition.name),
    ...['flash', 'disk'],
  ];
  return new MblError('lab/unknown-part', `The image has no part ${name}.`, {
    remedy: `Name one of: ${known.join(', ')}`,
  });
}

/** Flips one bit; returns the byte's place in its file and its values. */
export async function flipBit(
  directory: string,
  image: BoardImage,
  options: FlipOptions,
): Promise<{ file: string; offset: number; before: number; after: number }> {
  const part = await findPart(directory, image, options.part, options);
  // The tree starts with its top block, which every read of the root passes.
  const start = options.part === 'root' || options.part === 'hash-tree';
  const within = options.offset ?? (start ? 0 : Math.floor(part.size / 2));
  const bit = options.bit ?? 0;
  if (!Number.isInteger(bit) || bit < 0 || bit > 7) throw outside(options.part, `bit ${bit}`);
  const [before = 0] = await readPart(directory, part, options.part, within, 1);
  const after = before ^ (1 << bit);
  await writePart(directory, part, options.part, within, Uint8Array.of(after));
  return { file: join(directory, boardFiles[part.file]), offset: part.offset + within, before, after };
}

/** Reads bytes of a part. */
export async function readPart(
  directory: string,
  part: Part,
  name: string,
  offset: number,
  length: number,
): Promise<Buffer> {
  checkRange(part, name, offset, length);
  const file = await open(join(directory, boardFiles[part.file]));
  try {
    return await readAt(file, part.offset + offset, length);
  } finally {
    await file.close();
  }
}

/** Writes bytes into a part. */
export async function writePart(
  directory: string,
  part: Part,
  name: string,
  offset: number,
  bytes: Uint8Array,
): Promise<void> {
  checkRange(part, name, offset, bytes.length);
  const file = await open(join(directory, boardFiles[part.file]), 'r+');
  try {
    await file.write(bytes, 0, bytes.length, part.offset + offset);
  } finally {
    await file.close();
  }
}

function checkRange(part: Extent, name: string, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!whole || offset + length > part.size) throw outside(name, `${length} bytes at ${offset}`);
}

function outside(name: string, what: string): MblError {
  return new MblError('lab/outside-part', `There is no ${what} in part ${name}.`, {
    remedy: 'Stay within the size that image.json gives.',
  });
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) throw new MblError('lab/outside-part', 'The file ends before the part does.');
    done += bytesRead;
  }
  return buffer;
}
