// SPDX-License-Identifier: Apache-2.0
import type { Clock, Timer } from '../runtime/clock.ts';

interface Pending {
  at: number;
  order: number;
  action: () => void;
}

/** Time that passes when told to. Between two timers, promises run as far as they get without real I/O. */
export class SimulatedClock implements Clock {
  readonly #pending = new Set<Pending>();
  #now = 0;
  #order = 0;

  now(): number {
    return this.#now;
  }

  schedule(delayMs: number, action: () => void): Timer {
    const entry: Pending = { at: this.#now + Math.max(delayMs, 0), order: this.#order++, action };
    this.#pending.add(entry);
    return { cancel: () => this.#pending.delete(entry) };
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Lets `milliseconds` pass, with every timer in its order. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    for (let next = await this.#next(); next !== undefined && next.at <= end; next = await this.#next()) {
      this.#run(next);
    }
    this.#now = end;
    await settle();
  }

  /** Lets time pass until the promise settles. Throws when that takes over `limitMs` of simulated time. */
  async until<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    const end = this.#now + limitMs;
    const state = { settled: false };
    const mark = (): void => {
      state.settled = true;
    };
    promise.then(mark, mark);
    for (let next = await this.#next(); !state.settled; next = await this.#next()) {
      if (next === undefined) throw new Error('no timer is left and the promise is not settled');
      if (next.at > end) throw new Error(`the promise is not settled after ${limitMs} ms`);
      this.#run(next);
    }
    return promise;
  }

  #run(entry: Pending): void {
    this.#pending.delete(entry);
    this.#now = Math.max(this.#now, entry.at);
    entry.action();
  }

  async #next(): Promise<Pending | undefined> {
    await settle();
    let first: Pending | undefined;
    for (const entry of this.#pending) {
      if (
        first === undefined ||
        entry.at < first.at ||
        (entry.at === first.at && entry.order < first.order)
      ) {
        first = entry;
      }
    }
    return first;
  }
}

/** All promise jobs run before the next turn of the event loop. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
