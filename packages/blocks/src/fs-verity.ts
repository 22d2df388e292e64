// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { VerityHasher } from './hasher.ts';
import { BLOCK_SIZE } from './layout.ts';

/**
 * The digest of a file as fs-verity measures it (Linux `Documentation/filesystems/fsverity.rst`, "fsverity_descriptor"): SHA-256, blocks of
 * 4096 bytes, no salt. The tree is that of dm-verity over the file, filled up with zeros to whole blocks.
 */
export class FsVerityHasher {
  readonly #tree = new VerityHasher(new Uint8Array());
  #size = 0;

  update(piece: Uint8Array): void {
    this.#tree.update(piece);
    this.#size += piece.length;
  }

  /** 64 hex digits. */
  finish(): string {
    const rest = this.#size % BLOCK_SIZE;
    if (rest > 0) this.#tree.update(new Uint8Array(BLOCK_SIZE - rest));
    const descriptor = Buffer.alloc(256);
    descriptor[0] = 1; // version
    descriptor[1] = 1; // FS_VERITY_HASH_ALG_SHA256
    descriptor[2] = Math.log2(BLOCK_SIZE);
    descriptor.writeBigUInt64LE(BigInt(this.#size), 8);
    // The root hash of an empty file is all zeros.
    if (this.#size > 0) descriptor.write(this.#tree.finish().rootHash, 16, 'hex');
    return createHash('sha256').update(descriptor).digest('hex');
  }
}
