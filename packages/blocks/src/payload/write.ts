// SPDX-License-Identifier: Apache-2.0
import { hash } from 'node:crypto';
import type { BlockSource } from '../devices.ts';
import { GroupHasher } from '../groups.ts';
import { BLOCK_SIZE, DIGEST_SIZE, FANOUT } from '../layout.ts';
import type { VerityDescription } from '../verifier.ts';
import { packFrame, releaseLevel } from '../zstd.ts';
import { type Framing, formatIndex, type PayloadFile } from './format.ts';

/** Small frames, so that a changed block costs little; the blocks before them for a dictionary, so that small frames do (decision 18). */
export const defaultFraming: Framing = { frameBlocks: 4, dictionaryBlocks: 64 };

export interface PayloadOptions {
  readonly framing?: Framing;
  /** Of zstd; default 19. */
  readonly level?: number;
  readonly signal?: AbortSignal;
}

/**
 * Makes the payload of an image, which `image` gives and `description` describes; `write` gets it in order, piece by piece. The same image
 * gives the same bytes. Reads a group at a time. Throws `blocks/corrupt` when the image is not the one that is described.
 */
export async function writePayload(
  image: BlockSource,
  description: VerityDescription,
  write: (piece: Uint8Array) => Promise<void>,
  options: PayloadOptions = {},
): Promise<Omit<PayloadFile, 'file'>> {
  const { framing = defaultFraming, level = releaseLevel, signal = new AbortController().signal } = options;
  const hasher = new GroupHasher(description);
  const { dataBlocks } = description;
  const groupDigests = Buffer.alloc(hasher.groups * DIGEST_SIZE);
  const digests = Buffer.alloc(dataBlocks * DIGEST_SIZE);
  const lengths: number[] = [];
  let size = 0;
  // The group before, for the dictionaries of this one's first frames, and this one.
  const window = Buffer.alloc(2 * FANOUT * BLOCK_SIZE);
  const half = FANOUT * BLOCK_SIZE;
  for (let group = 0; group < hasher.groups; group += 1) {
    window.copyWithin(0, half);
    const bytes = hasher.sizeOf(group) * BLOCK_SIZE;
    const data = window.subarray(half, half + bytes);
    await image.read(group * FANOUT, data, signal);
    const hashBlock = hasher.hashBlock(data);
    hasher.digest(hashBlock).copy(groupDigests, group * DIGEST_SIZE);
    hashBlock.copy(digests, group * BLOCK_SIZE);
    const step = framing.frameBlocks * BLOCK_SIZE;
    const frames: Promise<Uint8Array>[] = [];
    for (let at = 0; at < bytes; at += step) {
      const before = Math.min(framing.dictionaryBlocks, group * FANOUT + at / BLOCK_SIZE) * BLOCK_SIZE;
      const start = half + at;
      const blocks = window.subarray(start, Math.min(start + step, half + bytes));
      frames.push(smaller(blocks, packFrame(blocks, window.subarray(start - before, start), level)));
    }
    for (const frame of await Promise.all(frames)) {
      lengths.push(frame.length);
      size += frame.length;
      await write(frame);
    }
  }
  hasher.upperLevels(groupDigests);
  const index = await formatIndex(framing, dataBlocks, groupDigests, lengths);
  await write(digests);
  await write(index);
  return {
    size: size + digests.length + index.length,
    indexSize: index.length,
    indexSha256: hash('sha256', index),
  };
}

/** The blocks as they are where a frame of them is not smaller, or cannot be made: zlib refuses a dictionary that looks like one of its own. */
async function smaller(blocks: Uint8Array, packed: Promise<Uint8Array>): Promise<Uint8Array> {
  const frame = await packed.catch(() => blocks);
  return frame.length < blocks.length ? frame : Buffer.from(blocks);
}
