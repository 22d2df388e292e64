// SPDX-License-Identifier: Apache-2.0

/** Bytes of a data block and of a hash block. */
export const BLOCK_SIZE = 4096;
/** Bytes of a SHA-256. */
export const DIGEST_SIZE = 32;
/** Digests in a hash block. */
export const FANOUT = BLOCK_SIZE / DIGEST_SIZE;

/** One level of a hash tree; level 0 holds the digests of the data blocks. */
export interface Level {
  /** First hash block, counted from the start of the tree. */
  readonly start: number;
  /** Number of hash blocks. */
  readonly blocks: number;
}

/**
 * Where each level of a tree lies, level 0 first in the list and last on the disk: the kernel expects the top level at the start (Linux
 * dm-verity, `verity_ctr`). One data block or none needs no level: its digest is the root hash.
 */
export const treeLevels = (dataBlocks: number): Level[] => {
  const counts: number[] = [];
  for (let blocks = dataBlocks; blocks > 1; ) {
    blocks = Math.ceil(blocks / FANOUT);
    counts.push(blocks);
  }
  const levels: Level[] = [];
  let start = 0;
  for (const blocks of counts.toReversed()) {
    levels.unshift({ start, blocks });
    start += blocks;
  }
  return levels;
};

/** Bytes of the hash tree over that many data blocks. */
export const treeSize = (dataBlocks: number): number =>
  treeLevels(dataBlocks).reduce((sum, { blocks }) => sum + blocks * BLOCK_SIZE, 0);
