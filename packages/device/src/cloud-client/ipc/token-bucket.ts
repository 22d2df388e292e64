// SPDX-License-Identifier: Apache-2.0

export interface BucketOptions {
  /** How many may come at once, and how many a second after that. */
  readonly burst: number;
  readonly perSecond: number;
  /** Milliseconds, never back. */
  readonly now: () => number;
}

/** Lets so many through: a token each, and tokens come back with time. */
export class TokenBucket {
  readonly #options: BucketOptions;
  #tokens: number;
  #at: number;

  constructor(options: BucketOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#at = options.now();
  }

  /** False where there are not so many, of which then none is taken. */
  take(tokens = 1): boolean {
    const { burst, perSecond, now } = this.#options;
    const at = now();
    this.#tokens = Math.min(burst, this.#tokens + ((at - this.#at) / 1000) * perSecond);
    this.#at = at;
    if (this.#tokens < tokens) return false;
    this.#tokens -= tokens;
    return true;
  }
}
