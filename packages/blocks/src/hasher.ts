// SPDX-License-Identifier: Apache-2.0
import { hash } from 'node:crypto';
import { MblError } from '@mbl/trust';
import { BLOCK_SIZE, DIGEST_SIZE, FANOUT, treeLevels } from './layout.ts';

/** What `VerityHasher.finish` gives. */
export interface VerityTree {
  readonly dataBlocks: number;
  /** The levels as they lie on the disk, top level first; to be written behind the data. */
  readonly tree: Buffer;
  /** SHA-256 as 64 hex digits. */
  readonly rootHash: string;
}

/** SHA-256 of the salt followed by a block (dm-verity hash format 1). `scratch` holds the salt already, and room for a block. */
const digest = (scratch: Buffer, saltSize: number, block: Uint8Array): Buffer => {
  scratch.set(block, saltSize);
  return hash('sha256', scratch, 'buffer');
};

/** Salt and scratch space for hashing block after block without allocations. */
export class BlockHasher {
  readonly #scratch: Buffer;
  readonly #saltSize: number;

  /** `salt`: at most 256 bytes, as in the kernel. */
  constructor(salt: Uint8Array) {
    if (salt.length > 256)
      throw new MblError(
        'blocks/bad-salt',
        `A verity salt of ${salt.length} bytes is too long (256 at most).`,
      );
    this.#saltSize = salt.length;
    this.#scratch = Buffer.alloc(salt.length + BLOCK_SIZE);
    this.#scratch.set(salt);
  }

  /** Digest of one block of exactly 4096 bytes. */
  hash(block: Uint8Array): Buffer {
    if (block.length !== BLOCK_SIZE)
      throw new MblError('blocks/bad-size', `A verity block has ${BLOCK_SIZE} bytes, not ${block.length}.`);
    return digest(this.#scratch, this.#saltSize, block);
  }
}

/**
 * Makes the hash tree of data that comes in pieces of any size: SHA-256, blocks of 4096 bytes, hash format 1, no superblock. The data must
 * be whole blocks; pad it first. Bit for bit what `veritysetup format --no-superblock` writes.
 */
export class VerityHasher {
  readonly #hasher: BlockHasher;
  readonly #digests: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);

  constructor(salt: Uint8Array) {
    this.#hasher = new BlockHasher(salt);
  }

  update(piece: Uint8Array): void {
    let offset = 0;
    if (this.#rest.length > 0) {
      offset = Math.min(BLOCK_SIZE - this.#rest.length, piece.length);
      this.#rest = Buffer.concat([this.#rest, piece.subarray(0, offset)]);
      if (this.#rest.length < BLOCK_SIZE) return;
      this.#digests.push(this.#hasher.hash(this.#rest));
    }
    for (; offset + BLOCK_SIZE <= piece.length; offset += BLOCK_SIZE)
      this.#digests.push(this.#hasher.hash(piece.subarray(offset, offset + BLOCK_SIZE)));
    this.#rest = Buffer.from(piece.subarray(offset));
  }

  /** Throws `blocks/bad-size` when the data did not end with a whole block, or when there was none. */
  finish(): VerityTree {
    const dataBlocks = this.#digests.length;
    if (this.#rest.length > 0 || dataBlocks === 0)
      throw new MblError('blocks/bad-size', `Verity data must be whole blocks of ${BLOCK_SIZE} bytes.`);
    const levels = treeLevels(dataBlocks);
    const total = levels.reduce((sum, { blocks }) => sum + blocks, 0);
    const tree = Buffer.alloc(total * BLOCK_SIZE);
    let digests = this.#digests;
    for (const { start, blocks } of levels) {
      const next: Buffer[] = [];
      for (let index = 0; index < blocks; index += 1) {
        const block = tree.subarray((start + index) * BLOCK_SIZE, (start + index + 1) * BLOCK_SIZE);
        const part = digests.slice(index * FANOUT, (index + 1) * FANOUT);
        for (const [place, each] of part.entries()) block.set(each, place * DIGEST_SIZE);
        next.push(this.#hasher.hash(block));
      }
      digests = next;
    }
    return { dataBlocks, tree, rootHash: (digests[0] ?? Buffer.alloc(DIGEST_SIZE)).toString('hex') };
  }
}
