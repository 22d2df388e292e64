// SPDX-License-Identifier: Apache-2.0

/** A number of places; who waits for one with the highest rank gets the next that is free. */
export class Slots {
  #free: number;
  readonly #waiting: { readonly rank: number; readonly wake: () => void }[] = [];

  constructor(count: number) {
    this.#free = Math.max(1, count);
  }

  /** Waits for a place, which is given back when the result is disposed. */
  async take(rank: number, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(rank, signal);
    return {
      [Symbol.dispose]: () => {
        const next = this.#waiting.shift();
        if (next === undefined) this.#free++;
        else next.wake();
      },
    };
  }

  #wait(rank: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
      };
      const wake = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const entry = { rank, wake };
      const after = this.#waiting.findIndex((other) => other.rank < rank);
      this.#waiting.splice(after === -1 ? this.#waiting.length : after, 0, entry);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
