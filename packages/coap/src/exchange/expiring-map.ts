// SPDX-License-Identifier: Apache-2.0
import type { Clock, Timer } from '../runtime/clock.ts';

/** At most `limit` entries, each for at most `lifetimeMs`; the oldest gives way. `onLeave` hears of every value that is kept no more. */
export class ExpiringMap<V> {
  readonly #entries = new Map<string, { value: V; expiresAt: number }>();
  readonly #clock: Clock;
  readonly #lifetimeMs: number;
  readonly #limit: number;
  readonly #onLeave: (value: V) => void;
  #timer: Timer | undefined;

  constructor(clock: Clock, lifetimeMs: number, limit: number, onLeave: (value: V) => void = () => {}) {
    this.#clock = clock;
    this.#lifetimeMs = lifetimeMs;
    this.#limit = limit;
    this.#onLeave = onLeave;
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  set(key: string, value: V): void {
    if (this.get(key) !== value) this.#remove(key);
    this.#entries.delete(key);
    this.#entries.set(key, { value, expiresAt: this.#clock.now() + this.#lifetimeMs });
    const oldest = this.#entries.keys().next();
    if (this.#entries.size > this.#limit && oldest.done !== true) this.#remove(oldest.value);
    this.#arm();
  }

  delete(key: string): void {
    this.#remove(key);
    if (this.#entries.size === 0) this.clear();
  }

  clear(): void {
    for (const key of this.#entries.keys()) this.#remove(key);
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#onLeave(entry.value);
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    const first = this.#entries.values().next();
    if (first.done === true) return;
    this.#timer = this.#clock.schedule(first.value.expiresAt - this.#clock.now(), () => {
      this.#timer = undefined;
      const now = this.#clock.now();
      for (const [key, entry] of this.#entries) {
        if (entry.expiresAt > now) break;
        this.#remove(key);
      }
      this.#arm();
    });
  }
}
