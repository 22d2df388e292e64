// SPDX-License-Identifier: Apache-2.0
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';

/**
 * When to run the next statement that takes along what waits. Where little happens, at once: with all that happens in this turn of the event
 * loop. Where several wait already, so long after the one before that more come together: a statement for ten costs little more than for two.
 */
export class Pace {
  readonly #leastMs: number;
  #last = Number.NEGATIVE_INFINITY;

  /** `leastMs`: from the start of one statement to that of the next, while several wait. */
  constructor(leastMs: number) {
    this.#leastMs = leastMs;
  }

  /** Resolves when it is time; `waiting` tells how many wait. */
  async turn(waiting: () => number): Promise<void> {
    await nextTurn();
    const restMs = this.#last + this.#leastMs - performance.now();
    if (restMs > 0 && waiting() > 1) await delay(restMs);
    this.#last = performance.now();
  }
}
