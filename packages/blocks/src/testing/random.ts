// SPDX-License-Identifier: Apache-2.0
import { VerityHasher } from '../hasher.ts';
import { BLOCK_SIZE } from '../layout.ts';

/** Numbers that follow from a seed (mulberry32): a run can be repeated. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to `below`, not included. */
  next(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  /** A block: noise, text or zeros, as they are in an image. */
  block(): Buffer {
    const block = Buffer.alloc(BLOCK_SIZE);
    const kind = this.next(10);
    if (kind === 0) return block;
    // Text compresses; noise does not, and is sent as it is.
    for (let at = 0; at < BLOCK_SIZE; at += 4) block.writeUInt32LE(this.next(kind < 4 ? 2 ** 32 : 40), at);
    return block;
  }

  image(blocks: number): Buffer {
    return Buffer.concat(Array.from({ length: blocks }, () => this.block()));
  }

  /** An image made of another one as releases are: parts stay, move, go and come. */
  changed(image: Buffer, blocks: number): Buffer {
    const pieces: Buffer[] = [];
    for (let count = 0; count < blocks; ) {
      const size = 1 + this.next(60);
      const at = this.next(3) === 0 ? this.next(image.length / BLOCK_SIZE) : count;
      const old = image.subarray(at * BLOCK_SIZE, (at + size) * BLOCK_SIZE);
      const piece = this.next(3) > 0 && old.length > 0 ? old : this.image(1 + this.next(6));
      pieces.push(piece);
      count += piece.length / BLOCK_SIZE;
    }
    return Buffer.concat(pieces).subarray(0, blocks * BLOCK_SIZE);
  }
}

/** What a root has to become: its description, its bytes with the hash tree. */
export interface Target {
  readonly target: { readonly dataBlocks: number; readonly rootHash: string; readonly salt: Uint8Array };
  readonly data: Buffer;
  readonly whole: Buffer;
}

export const salt = Buffer.from('a7'.repeat(32), 'hex');

export function targetOf(data: Buffer): Target {
  const hasher = new VerityHasher(salt);
  hasher.update(data);
  const { tree, rootHash, dataBlocks } = hasher.finish();
  return { target: { dataBlocks, rootHash, salt }, data, whole: Buffer.concat([data, tree]) };
}
