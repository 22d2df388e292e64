// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { VerityHasher } from '@mbl/blocks';
import { type Extent, type ImageDescription, readImage } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { type FitContent, openFit } from './fit-facts.ts';
import { type FlashParts, isAll, openFlash } from './flash-facts.ts';
import { openRoot, type RootContent } from './root-facts.ts';

/** An image's folder, taken apart. */
export interface OpenImage {
  readonly directory: string;
  readonly description: ImageDescription;
  readonly flash: FlashParts;
  /** The bytes of the FIT, and what is in them. */
  readonly fit: Buffer;
  readonly fitContent: FitContent;
  readonly root: RootContent;
  /** Of the root's data, under the salt that the initramfs has. */
  readonly rootHash: string;
  /** SHA-256 in short of what of the disk is nothing of the above, by what it is. */
  readonly rest: ReadonlyMap<string, string>;
}

const limits = { flash: 256 << 20, fit: 256 << 20, root: 1 << 30 } as const;

/**
 * Opens the image in `directory` and unpacks its root into `work`. Throws `builder/no-image` where there is none, `builder/bad-image-file`
 * where a file is not what image.json says, and what the parts throw.
 */
export async function openImage(
  directory: string,
  work: string,
  fsck: readonly string[],
  signal: AbortSignal | undefined,
): Promise<OpenImage> {
  const description = await readImage(directory);
  if (description === undefined)
    throw new MblError('builder/no-image', `There is no image in ${directory}.`, {
      remedy: 'Name the folder that ./mbl build names at its end.',
    });
  const flashPath = join(directory, description.flash.file);
  await using flashFile = await openSized(flashPath, description.flash.size);
  if (description.flash.size > limits.flash) throw bad(flashPath, 'is too large');
  const { bl1 } = description.flash.parts;
  if (bl1 === undefined) throw bad(join(directory, 'image.json'), 'names no BL1');
  const flash = openFlash(await readRange(flashFile, 0, description.flash.size), bl1);

  const diskPath = join(directory, description.disk.file);
  await using disk = await openSized(diskPath, description.disk.size);
  const partition = (name: string): Extent => {
    const found = description.disk.partitions.find((each) => each.name === name);
    if (found === undefined) throw bad(join(directory, 'image.json'), `names no partition ${name}`);
    return found;
  };
  const boot = partition('boot_a');
  const fitSize = (await readRange(disk, boot.offset, 8)).readUInt32BE(4);
  if (fitSize > boot.size || fitSize > limits.fit) throw bad(diskPath, 'has a FIT larger than its partition');
  const fit = await readRange(disk, boot.offset, fitSize);
  const fitContent = openFit(fit);

  const slot = partition('root_a');
  const { dataSize } = description.root;
  if (dataSize > slot.size || dataSize > limits.root || dataSize % 4096 !== 0)
    throw bad(diskPath, 'has a root larger than its partition');
  const data = await readRange(disk, slot.offset, dataSize);
  const hasher = new VerityHasher(fitContent.salt.subarray(0, 256));
  hasher.update(data);
  const { tree, rootHash } = hasher.finish();
  const root = await openRoot({ data, path: diskPath, offset: slot.offset }, work, fsck, signal);
  const found = await readRange(disk, slot.offset + dataSize, Math.min(tree.length, slot.size - dataSize));

  const rest = new Map<string, string>();
  const note = async (name: string, start: number, end: number): Promise<void> => {
    rest.set(name, await digestRange(disk, start, end, signal));
  };
  await note('disk/boot_a behind the FIT', boot.offset + fitSize, boot.offset + boot.size);
  await note(
    'disk/root_a behind the hash tree',
    slot.offset + dataSize + tree.length,
    slot.offset + slot.size,
  );
  rest.set('disk/root_a/hash-tree', found.equals(tree) ? 'of the root' : digestOf(found));
  let end = 0;
  for (const { name, offset, size } of description.disk.partitions.toSorted((a, b) => a.offset - b.offset)) {
    await note(`disk before ${name}`, end, offset);
    end = offset + size;
    if (name !== 'boot_a' && name !== 'root_a') await note(`disk/${name}`, offset, end);
  }
  await note('disk behind the partitions', end, description.disk.size);
  return { directory, description, flash, fit, fitContent, root, rootHash, rest };
}

async function openSized(path: string, size: number): Promise<FileHandle> {
  const file = await open(path).catch((cause: unknown) => {
    throw bad(path, 'cannot be opened', cause);
  });
  const { size: actual } = await file.stat();
  if (actual === size) return file;
  await file.close();
  throw bad(path, `has ${actual} bytes, and image.json says ${size}`);
}

async function readRange(file: FileHandle, start: number, size: number): Promise<Buffer> {
  const buffer = Buffer.alloc(size);
  for (let done = 0; done < size; ) {
    const { bytesRead } = await file.read(buffer, done, size - done, start + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer;
}

const pieceSize = 4 << 20;

/** Digest of a range, `empty` where it is zeros. Most of a disk is: only what is not zero is hashed, with its place. */
async function digestRange(
  file: FileHandle,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(pieceSize);
  let empty = true;
  for (let at = start; at < end; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, Math.min(pieceSize, end - at), at);
    if (bytesRead === 0) break;
    const piece = buffer.subarray(0, bytesRead);
    if (!isAll(0, piece)) {
      empty = false;
      hash.update(`${at - start}:`).update(piece);
    }
    at += bytesRead;
  }
  return empty ? 'empty' : hash.digest('hex').slice(0, 32);
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

function bad(path: string, what: string, cause?: unknown): MblError {
  return new MblError('builder/bad-image-file', `${path} ${what}.`, {
    remedy: 'Build the image again with: ./mbl build',
    cause,
  });
}
