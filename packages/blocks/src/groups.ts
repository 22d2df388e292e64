// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { BlockHasher } from './hasher.ts';
import { BLOCK_SIZE, DIGEST_SIZE, FANOUT, treeLevels } from './layout.ts';
import type { VerityDescription } from './verifier.ts';

/** The largest image that is transferred: 4 GiB. Bounds what a description can make a device allocate. */
export const maxDataBlocks = 2 ** 20;

/**
 * A group is the data under one hash block of level 0: 128 blocks, fewer at the end of an image. Its digest is that of the hash block, so
 * 32 bytes vouch for 512 KiB; the digests of all groups are what level 1 of the tree holds. Of an image of one block, which has no tree, it
 * is the digest of the block.
 */
export class GroupHasher {
  readonly description: VerityDescription;
  readonly groups: number;
  readonly #hasher: BlockHasher;

  constructor(description: VerityDescription) {
    const { dataBlocks, rootHash } = description;
    if (
      !Number.isSafeInteger(dataBlocks) ||
      dataBlocks < 1 ||
      dataBlocks > maxDataBlocks ||
      !/^[0-9a-f]{64}$/.test(rootHash)
    )
      throw new MblError('blocks/bad-description', 'The description of the verity image is not valid.');
    this.description = description;
    this.groups = Math.ceil(dataBlocks / FANOUT);
    this.#hasher = new BlockHasher(description.salt);
  }

  /** Blocks of that group. */
  sizeOf(group: number): number {
    return Math.min(FANOUT, this.description.dataBlocks - group * FANOUT);
  }

  /** Digest of one block. */
  hash(block: Uint8Array): Buffer {
    return this.#hasher.hash(block);
  }

  /** The hash block over whole blocks of data: their digests, zeros behind them. */
  hashBlock(data: Uint8Array): Buffer {
    const block = Buffer.alloc(BLOCK_SIZE);
    for (let at = 0; at < data.length; at += BLOCK_SIZE)
      block.set(this.hash(data.subarray(at, at + BLOCK_SIZE)), (at / BLOCK_SIZE) * DIGEST_SIZE);
    return block;
  }

  /** The digest of a group by its hash block. */
  digest(hashBlock: Uint8Array): Buffer {
    return this.description.dataBlocks === 1
      ? Buffer.from(hashBlock.subarray(0, DIGEST_SIZE))
      : this.hash(hashBlock);
  }

  /**
   * The levels above level 0, top first, as they lie on the disk before it; `digests`: those of all groups, one behind the other. Throws
   * `blocks/corrupt` when they do not lead to the root hash.
   */
  upperLevels(digests: Uint8Array): Buffer {
    const levels = treeLevels(this.description.dataBlocks);
    const upper = Buffer.alloc((levels[0]?.start ?? 0) * BLOCK_SIZE);
    let below: Uint8Array = digests;
    for (const { start, blocks } of levels.slice(1)) {
      upper.set(below, start * BLOCK_SIZE);
      const next = Buffer.alloc(blocks * DIGEST_SIZE);
      for (let index = 0; index < blocks; index += 1) {
        const at = (start + index) * BLOCK_SIZE;
        next.set(this.hash(upper.subarray(at, at + BLOCK_SIZE)), index * DIGEST_SIZE);
      }
      below = next;
    }
    if (
      digests.length !== this.groups * DIGEST_SIZE ||
      Buffer.from(below).toString('hex') !== this.description.rootHash
    )
      throw new MblError('blocks/corrupt', 'The digests of the groups are not what the root hash covers.');
    return upper;
  }
}
