// SPDX-License-Identifier: Apache-2.0
import type { Clock, Timer } from '../runtime/clock.ts';

/** At most `limit` entries, each for at most `lifetimeMs`; the oldest gives way. */
export class ExpiringMap<V> {
  readonly #entries = new Map<string, { value: V; expiresAt: number }>();
  readonly #clock: Clock;
  readonly #lifetimeMs: number;
  readonly #limit: number;
  #timer: Timer | undefined;

  constructor(clock: Clock, lifetimeMs: number, limit: number) {
    this.#clock = clock;
    this.#lifetimeMs = lifetimeMs;
    this.#limit = limit;
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, expiresAt: this.#clock.now() + this.#lifetimeMs });
    const oldest = this.#entries.keys().next();
    if (this.#entries.size > this.#limit && oldest.done !== true) this.#entries.delete(oldest.value);
    this.#arm();
  }

  delete(key: string): void {
    this.#entries.delete(key);
    if (this.#entries.size === 0) this.clear();
  }

  clear(): void {
    this.#entries.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
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
        this.#entries.delete(key);
      }
      this.#arm();
    });
  }
}
