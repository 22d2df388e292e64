// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import type { Clock, Timer } from './clock.ts';

/** One deadline and one AbortSignal for everything that a call waits for. */
export class Deadline implements Disposable {
  readonly #listeners = new Set<(error: CoapError) => void>();
  readonly #signal: AbortSignal | undefined;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #what: string;
  #timer: Timer;
  readonly #onAbort = (): void => this.#fail(abortedBy(this.#signal));
  #error: CoapError | undefined;

  constructor(clock: Clock, timeoutMs: number, what: string, signal?: AbortSignal) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#what = what;
    this.#signal = signal;
    this.#timer = this.#arm();
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /**
   * Waits for something that `start` begins; the function it returns undoes it when the deadline
   * passes first. Rejects with `coap/timeout` or `coap/aborted`.
   */
  wait<T>(
    start: (resolve: (value: T) => void, reject: (error: CoapError) => void) => () => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#error !== undefined) return reject(this.#error);
      let settled = false;
      let undo: (() => void) | undefined;
      const settle = (finish: () => void): void => {
        if (settled) return;
        settled = true;
        this.#listeners.delete(expired);
        finish();
      };
      const expired = (error: CoapError): void => {
        settle(() => reject(error));
        undo?.();
      };
      this.#listeners.add(expired);
      const fail = (error: unknown): void => settle(() => reject(error));
      try {
        undo = start((value) => settle(() => resolve(value)), fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  /** Starts the time anew: a transfer of many blocks is late when no block comes, however long it takes. */
  renew(): void {
    if (this.#error !== undefined) return;
    this.#timer.cancel();
    this.#timer = this.#arm();
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#listeners.clear();
  }

  #arm(): Timer {
    return this.#clock.schedule(this.#timeoutMs, () =>
      this.#fail(new CoapError('coap/timeout', `${this.#what} got no answer in ${this.#timeoutMs} ms`)),
    );
  }

  #fail(error: CoapError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#timer.cancel();
    for (const listener of [...this.#listeners]) listener(error);
  }
}

function abortedBy(signal: AbortSignal | undefined): CoapError {
  return new CoapError('coap/aborted', 'the caller gave up waiting', { cause: signal?.reason });
}
