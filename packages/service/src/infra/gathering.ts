// SPDX-License-Identifier: Apache-2.0
import { Pace } from './pace.ts';

interface Asked<K, V> {
  readonly key: K;
  readonly answer: PromiseWithResolvers<V | undefined>;
}

const defaultMost = 500;
const leastMs = 15;

/**
 * Asks for many things in one statement: what is asked for in the same turn of the event loop, while the statement before is under way, or,
 * where many ask, soon after it.
 * A question never joins a statement that has begun: its answer is of a time after it was asked.
 */
export class Gathering<K, V> {
  readonly #run: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>;
  readonly #most: number;
  readonly #pace = new Pace(leastMs);
  #waiting: Asked<K, V>[] = [];
  #running = false;

  /** `run` gets each key once, `most` of them at the most; what it does not give is undefined. */
  constructor(run: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>, most = defaultMost) {
    this.#run = run;
    this.#most = most;
  }

  /** Rejects with the error of the statement, as do all that were in it. */
  ask(key: K): Promise<V | undefined> {
    const answer = Promise.withResolvers<V | undefined>();
    this.#waiting.push({ key, answer });
    if (!this.#running) {
      this.#running = true;
      void this.#drain();
    }
    return answer.promise;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#pace.turn(() => this.#waiting.length);
      const batch = this.#waiting.slice(0, this.#most);
      this.#waiting = this.#waiting.slice(this.#most);
      try {
        const found = await this.#run([...new Set(batch.map(({ key }) => key))]);
        for (const { key, answer } of batch) answer.resolve(found.get(key));
      } catch (error) {
        for (const { answer } of batch) answer.reject(error);
      }
    }
    this.#running = false;
  }
}
