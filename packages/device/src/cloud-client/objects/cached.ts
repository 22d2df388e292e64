// SPDX-License-Identifier: Apache-2.0
import type { Log } from '../../common/log.ts';

export interface CachedOptions {
  readonly now: () => number;
  readonly log: Log;
}

/** What the platform said, for a second: reading an object asks once, not once for each resource. */
export class Cached<T> {
  readonly #ask: () => Promise<T>;
  readonly #options: CachedOptions;
  #asked = Number.NEGATIVE_INFINITY;
  #answer: Promise<T | undefined> = Promise.resolve(undefined);

  constructor(ask: () => Promise<T>, options: CachedOptions) {
    this.#ask = ask;
    this.#options = options;
  }

  /** Undefined when the platform does not answer: the resource has no value then. */
  get(): Promise<T | undefined> {
    const { now, log } = this.#options;
    if (Math.abs(now() - this.#asked) < 1000) return this.#answer;
    this.#asked = now();
    this.#answer = this.#ask().catch((error: unknown) => {
      log.warning('platform unavailable', { reason: error instanceof Error ? error.message : String(error) });
      return undefined;
    });
    return this.#answer;
  }

  /** A resource that is a part of what the platform said. */
  show<V>(part: (found: T) => V | undefined): { read(): Promise<V | undefined> } {
    return {
      read: async () => {
        const found = await this.get();
        return found === undefined ? undefined : part(found);
      },
    };
  }

  /** What was said is old now. */
  forget(): void {
    this.#asked = Number.NEGATIVE_INFINITY;
  }

  /** Calls `changed` where the platform says something else than before. */
  async refresh(changed: () => void): Promise<void> {
    const before = await this.#answer;
    const after = await this.get();
    if (after !== undefined && JSON.stringify(before) !== JSON.stringify(after)) changed();
  }
}

/** Values as the instances of a multiple resource. */
export function instancesOf<V>(values: Iterable<V>): ReadonlyMap<number, V> {
  return new Map([...values].entries());
}
