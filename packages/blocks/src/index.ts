// SPDX-License-Identifier: Apache-2.0
export { BlockHasher, VerityHasher, type VerityTree } from './hasher.ts';
export { BLOCK_SIZE, DIGEST_SIZE, FANOUT, type Level, treeLevels, treeSize } from './layout.ts';
export { type VerityDescription, VerityVerifier } from './verifier.ts';
