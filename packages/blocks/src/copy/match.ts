// SPDX-License-Identifier: Apache-2.0
import { BLOCK_SIZE, DIGEST_SIZE, FANOUT } from '../layout.ts';
import type { BlockSource } from '../devices.ts';
import type { GroupHasher } from '../groups.ts';
import type { CopyRun } from './copy-map.ts';

const none = 0xffff_ffff;

/** Finds blocks of a target by their digest. Needs eight bytes a block beside the digests. */
export class DigestTable {
  readonly #digests: Buffer;
  /** Open addressing: a block of the target, or `none`. */
  readonly #slots: Uint32Array;
  readonly blocks: number;

  /** `digests`: those of all data blocks of the target, one behind the other. */
  constructor(digests: Uint8Array) {
    this.#digests = Buffer.from(digests.buffer, digests.byteOffset, digests.byteLength);
    this.blocks = digests.length / DIGEST_SIZE;
    let size = 2;
    while (size < this.blocks * 2) size *= 2;
    this.#slots = new Uint32Array(size).fill(none);
    // The first of equal blocks is the one that is found.
    for (let block = 0; block < this.blocks; block += 1) {
      const slot = this.#slotOf(this.digest(block));
      if (this.#slots[slot] === none) this.#slots[slot] = block;
    }
  }

  digest(block: number): Buffer {
    return this.#digests.subarray(block * DIGEST_SIZE, (block + 1) * DIGEST_SIZE);
  }

  /** The first block with that digest. */
  find(digest: Buffer): number | undefined {
    const block = this.#slots[this.#slotOf(digest)];
    return block === none ? undefined : block;
  }

  #slotOf(digest: Buffer): number {
    const mask = this.#slots.length - 1;
    for (let slot = digest.readUInt32LE(0) & mask; ; slot = (slot + 1) & mask) {
      const block = this.#slots[slot];
      if (block === undefined || block === none || this.digest(block).equals(digest)) return slot;
    }
  }
}

/**
 * Which blocks of a target a source has, by reading all of the source once, a group at a time. A block stays at its place where the source has it
 * there, else it follows the block before it where that is possible. `hasher`: of the target, whose salt the digests have.
 */
export async function matchBlocks(
  target: DigestTable,
  source: BlockSource,
  hasher: GroupHasher,
  signal: AbortSignal,
): Promise<CopyRun[]> {
  /** By digest (as the first block of the target that has it): the block of the source. */
  const places = new Uint32Array(target.blocks).fill(none);
  const same = new Uint8Array(target.blocks);
  const buffer = Buffer.alloc(FANOUT * BLOCK_SIZE);
  for (let first = 0; first < source.blocks; first += FANOUT) {
    signal.throwIfAborted();
    const piece = buffer.subarray(0, Math.min(FANOUT, source.blocks - first) * BLOCK_SIZE);
    await source.read(first, piece, signal);
    for (let at = 0; at < piece.length; at += BLOCK_SIZE) {
      const block = first + at / BLOCK_SIZE;
      const digest = hasher.hash(piece.subarray(at, at + BLOCK_SIZE));
      const found = target.find(digest);
      if (found !== undefined && places[found] === none) places[found] = block;
      if (block < target.blocks && target.digest(block).equals(digest)) same[block] = 1;
    }
  }
  const runs: { target: number; source: number; blocks: number }[] = [];
  for (let block = 0; block < target.blocks; block += 1) {
    const place = same[block] === 1 ? block : (places[target.find(target.digest(block)) ?? 0] ?? none);
    if (place === none) continue;
    const last = runs.at(-1);
    if (last && last.target + last.blocks === block && last.source + last.blocks === place) last.blocks += 1;
    else runs.push({ target: block, source: place, blocks: 1 });
  }
  return runs;
}
