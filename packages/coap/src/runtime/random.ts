// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';

/** Source of tokens, first message ids and back-off, handed in so that a simulation repeats. */
export interface Random {
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1). */
  fraction(): number;
}

export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
};
