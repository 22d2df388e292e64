// SPDX-License-Identifier: Apache-2.0

export interface BackoffOptions {
  /** The bound of the first delay, in milliseconds; each later one is twice the one before. */
  readonly firstMs: number;
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** Exponential backoff with full jitter: a fleet that lost its service does not come back in one instant. */
export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** How long to wait after one more failure, at most `maxMs`, in milliseconds. */
  next(maxMs: number): number {
    const { firstMs, random } = this.#options;
    const bound = Math.min(maxMs, firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return Math.round(random() * bound);
  }

  /** After a success that lasted: the next failure is a first one. */
  reset(): void {
    this.#failures = 0;
  }
}
