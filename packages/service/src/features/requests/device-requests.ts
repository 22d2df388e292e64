// SPDX-License-Identifier: Apache-2.0
import { HttpError } from '../../infra/http/errors.ts';
import type { DeviceSession, Reach } from '../connections/session.ts';
import { expired, notConnected, RequestFailure, toFailure } from './failure.ts';

/** Requests that wait for one device, the one under way included. */
export const queueLimit = 20;
const defaultTimeoutMs = 30_000;

export interface RequestPolicy {
  /** How often a request that got no answer is sent again. */
  readonly retries?: number;
  /** Whether to wait for a device that is away. */
  readonly wait?: boolean;
  /** How long all of it may take. */
  readonly expiresInMs?: number;
  readonly signal?: AbortSignal;
  /** The service's own doing, which a full queue does not turn away. */
  readonly own?: boolean;
}

interface Entry {
  readonly send: (device: DeviceSession, signal: AbortSignal) => Promise<unknown>;
  readonly expiresAt: number;
  readonly wait: boolean;
  retries: number;
  readonly cancelled: AbortController;
  readonly outcome: PromiseWithResolvers<unknown>;
  /** Runs while others are before it. */
  expiry?: NodeJS.Timeout;
}

/** The longest delay of a timer; whoever wakes early looks at the clock again. */
const longestDelayMs = 2 ** 31 - 1;

export interface DeviceRequestParts {
  readonly reach: Reach;
  readonly now: () => number;
  readonly timeoutMs?: number;
}

/**
 * Sends requests to devices: one at a time to each, in the order they came. A request that expires, is called off, or would not wait for
 * a device that is away ends at that moment, whatever is before it.
 */
export class DeviceRequests {
  readonly #parts: DeviceRequestParts;
  readonly #queues = new Map<string, Entry[]>();
  readonly #wakers = new Map<string, () => void>();

  constructor(parts: DeviceRequestParts) {
    this.#parts = parts;
  }

  /**
   * Runs `send` when it is its turn and the device is there. Rejects with a `RequestFailure`, or with the reason of `signal`; throws
   * QUEUE_IS_FULL at once.
   */
  run<T>(
    deviceId: string,
    send: (device: DeviceSession, signal: AbortSignal) => Promise<T>,
    { retries = 0, wait = false, expiresInMs = defaultTimeoutMs, signal, own = false }: RequestPolicy = {},
  ): Promise<T> {
    const queue = this.#queues.get(deviceId) ?? [];
    if (queue.length >= queueLimit && !own) throw new HttpError('too_many_requests', 'QUEUE_IS_FULL');
    const entry: Entry = {
      send,
      expiresAt: this.#parts.now() + expiresInMs,
      wait,
      retries,
      cancelled: new AbortController(),
      outcome: Promise.withResolvers(),
    };
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (!isPatient(entry) && this.#parts.reach(deviceId) === undefined) return Promise.reject(notConnected());
    const called = () => this.#end(deviceId, entry, signal?.reason);
    signal?.addEventListener('abort', called, { once: true });
    const settled = () => signal?.removeEventListener('abort', called);
    entry.outcome.promise.then(settled, settled);
    queue.push(entry);
    if (queue.length === 1) {
      this.#queues.set(deviceId, queue);
      void this.#work(deviceId, queue);
    } else {
      this.#watch(deviceId, entry);
    }
    return entry.outcome.promise as Promise<T>;
  }

  waiting(deviceId: string): number {
    return this.#queues.get(deviceId)?.length ?? 0;
  }

  /** The device can be reached again. */
  wake(deviceId: string): void {
    this.#wakers.get(deviceId)?.();
  }

  /** Ends everything that waits for a device. */
  cancel(deviceId: string, failure: RequestFailure): void {
    for (const entry of [...(this.#queues.get(deviceId) ?? [])]) this.#end(deviceId, entry, failure);
  }

  cancelAll(failure: RequestFailure): void {
    for (const deviceId of this.#queues.keys()) this.cancel(deviceId, failure);
  }

  /** Ends one before its time: at once when others are before it, otherwise as soon as what is under way has stopped. */
  #end(deviceId: string, entry: Entry, reason: unknown): void {
    const queue = this.#queues.get(deviceId) ?? [];
    const place = queue.indexOf(entry);
    if (place === 0) {
      entry.cancelled.abort(reason);
      this.wake(deviceId);
    } else if (place > 0) {
      queue.splice(place, 1);
      clearTimeout(entry.expiry);
      entry.outcome.reject(reason);
    }
  }

  /** Ends one that waits behind others when its time is over. */
  #watch(deviceId: string, entry: Entry): void {
    const left = entry.expiresAt - this.#parts.now();
    if (left <= 0) return this.#end(deviceId, entry, expired());
    entry.expiry = setTimeout(() => this.#watch(deviceId, entry), Math.min(left, longestDelayMs));
  }

  async #work(deviceId: string, queue: Entry[]): Promise<void> {
    for (let entry = queue[0]; entry !== undefined; entry = queue[0]) {
      clearTimeout(entry.expiry);
      try {
        entry.outcome.resolve(await this.#carryOut(deviceId, entry));
      } catch (error) {
        entry.outcome.reject(error);
      }
      queue.shift();
    }
    this.#queues.delete(deviceId);
  }

  async #carryOut(deviceId: string, entry: Entry): Promise<unknown> {
    const { now, reach, timeoutMs = defaultTimeoutMs } = this.#parts;
    for (;;) {
      if (entry.cancelled.signal.aborted) throw entry.cancelled.signal.reason;
      const left = entry.expiresAt - now();
      if (left <= 0) throw expired();
      const device = reach(deviceId);
      if (device === undefined) {
        // What would not wait if it were its turn does not wait behind one that does.
        for (const other of this.#queues.get(deviceId)?.slice(1) ?? []) {
          if (!isPatient(other)) this.#end(deviceId, other, notConnected());
        }
        if (!isPatient(entry)) throw notConnected();
        await this.#awake(deviceId, left);
        continue;
      }
      try {
        const limit = AbortSignal.timeout(Math.min(left, timeoutMs));
        return await entry.send(device, AbortSignal.any([limit, entry.cancelled.signal]));
      } catch (error) {
        if (entry.cancelled.signal.aborted) throw entry.cancelled.signal.reason;
        const failure = toFailure(error);
        if (!(failure instanceof RequestFailure) || !failure.transient || entry.retries === 0) throw failure;
        entry.retries -= 1;
      }
    }
  }

  async #awake(deviceId: string, limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.min(limitMs, longestDelayMs));
    this.#wakers.set(deviceId, resolve);
    await promise;
    this.#wakers.delete(deviceId);
    clearTimeout(timer);
  }
}

/** Whether it waits for a device that is away. */
function isPatient({ wait, retries }: Entry): boolean {
  return wait || retries > 0;
}
