// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import type { Clock, Timer } from '../runtime/clock.ts';

export interface KeepAliveOptions {
  /** Silence after which a Ping is sent, in milliseconds. */
  intervalMs: number;
  /** How long the peer then has to send anything at all, its Pong first, in milliseconds. */
  timeoutMs: number;
}

/** Tells a silent peer from a dead one (RFC 8323 §5.4). Any byte received counts: a Pong may queue behind a body. */
export class KeepAlive {
  readonly #clock: Clock;
  readonly #options: KeepAliveOptions;
  readonly #actions: { ping(): void; dead(error: CoapError): void };
  #lastHeard = 0;
  #timer: Timer | undefined;

  constructor(
    clock: Clock,
    options: KeepAliveOptions,
    actions: { ping(): void; dead(error: CoapError): void },
  ) {
    this.#clock = clock;
    this.#options = options;
    this.#actions = actions;
  }

  start(): void {
    this.alive();
    this.#watch();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Something came from the peer. */
  alive(): void {
    this.#lastHeard = this.#clock.now();
  }

  /** Until the peer has been silent for an interval. Moving one long timer is cheaper than setting one for each chunk. */
  #watch(): void {
    const rest = this.#lastHeard + this.#options.intervalMs - this.#clock.now();
    if (rest <= 0) return this.#probe();
    this.#timer = this.#clock.schedule(rest, () => this.#watch());
  }

  #probe(): void {
    const askedAt = this.#clock.now();
    this.#timer = this.#clock.schedule(this.#options.timeoutMs, () => {
      // After a stall of this process timers run before what meanwhile arrived is read: one more turn.
      this.#timer = this.#clock.schedule(0, () => this.#judge(askedAt));
    });
    this.#actions.ping();
  }

  #judge(askedAt: number): void {
    const { timeoutMs, intervalMs } = this.#options;
    if (this.#lastHeard > askedAt) return this.#watch();
    this.#actions.dead(
      new CoapError('coap/keep-alive', `the peer did not answer a ping within ${timeoutMs} ms`, {
        details: { intervalMs, timeoutMs },
      }),
    );
  }
}
