// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { BlockHasher } from './hasher.ts';
import { BLOCK_SIZE, DIGEST_SIZE, FANOUT, type Level, treeLevels, treeSize } from './layout.ts';

export interface VerityDescription {
  readonly dataBlocks: number;
  /** 64 hex digits: the only thing here that is trusted. */
  readonly rootHash: string;
  readonly salt: Uint8Array;
}

/**
 * Checks blocks of an image against its root hash. The tree itself is not trusted: the constructor checks every hash block up to the root
 * hash, so afterwards each data block costs one hash. Throws `blocks/corrupt` with the place (`details.block`, `details.level`) and
 * `blocks/bad-size`.
 */
export class VerityVerifier {
  readonly description: VerityDescription;
  readonly #tree: Uint8Array;
  readonly #levels: readonly Level[];
  readonly #hasher: BlockHasher;

  constructor(description: VerityDescription, tree: Uint8Array) {
    const { dataBlocks, rootHash, salt } = description;
    if (
      !Number.isSafeInteger(dataBlocks) ||
      dataBlocks < 1 ||
      dataBlocks > 2 ** 40 ||
      !/^[0-9a-f]{64}$/.test(rootHash)
    )
      throw new MblError('blocks/bad-description', 'The description of the verity image is not valid.');
    if (tree.length !== treeSize(dataBlocks))
      throw new MblError(
        'blocks/bad-size',
        `The hash tree of ${dataBlocks} blocks has ${treeSize(dataBlocks)} bytes, not ${tree.length}.`,
      );
    this.description = description;
    this.#tree = tree;
    this.#levels = treeLevels(dataBlocks);
    this.#hasher = new BlockHasher(salt);
    this.#checkTree();
  }

  /** Checks data block `index` (4096 bytes). */
  check(index: number, block: Uint8Array): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.description.dataBlocks)
      throw new MblError('blocks/bad-size', `The image has no block ${index}.`);
    if (!this.#hasher.hash(block).equals(this.#expected(0, index))) throw corrupt(index, -1);
  }

  #checkTree(): void {
    for (let level = this.#levels.length - 1; level >= 0; level -= 1) {
      const { start, blocks } = this.#levels[level] ?? { start: 0, blocks: 0 };
      for (let index = 0; index < blocks; index += 1) {
        const at = (start + index) * BLOCK_SIZE;
        const block = this.#tree.subarray(at, at + BLOCK_SIZE);
        if (!this.#hasher.hash(block).equals(this.#expected(level + 1, index))) throw corrupt(index, level);
      }
    }
  }

  /** The digest that `level` holds for its child `index`; above the top level stands the root hash. */
  #expected(level: number, index: number): Uint8Array {
    const place = this.#levels[level];
    if (!place) return Buffer.from(this.description.rootHash, 'hex');
    const at = (place.start + Math.floor(index / FANOUT)) * BLOCK_SIZE + (index % FANOUT) * DIGEST_SIZE;
    return this.#tree.subarray(at, at + DIGEST_SIZE);
  }
}

const corrupt = (block: number, level: number): MblError =>
  new MblError(
    'blocks/corrupt',
    level < 0
      ? `Data block ${block} is not what the signed root hash covers.`
      : `Block ${block} of level ${level} of the hash tree is not what the signed root hash covers.`,
    { remedy: 'Build or fetch the image again.', details: { block, level } },
  );
