// SPDX-License-Identifier: Apache-2.0
import type { Registration } from '@mbl/lwm2m';
import { HttpError } from '../../infra/http/errors.ts';
import type { DeviceIdentity } from '../connections/connections.ts';
import { expired, notConnected, RequestFailure, toFailure } from './failure.ts';

export type Reachable = Registration<DeviceIdentity>;

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
  readonly send: (device: Reachable, signal: AbortSignal) => Promise<unknown>;
  readonly expiresAt: number;
  readonly wait: boolean;
  retries: number;
  readonly cancelled: AbortController;
  readonly outcome: PromiseWithResolvers<unknown>;
}

export interface DeviceRequestParts {
  /** The registration of a device that is connected and registered at this moment. */
  readonly reach: (deviceId: string) => Reachable | undefined;
  readonly now: () => number;
  readonly timeoutMs?: number;
}

/** Sends requests to devices: one at a time to each, in the order they came. */
export class DeviceRequests {
  readonly #parts: DeviceRequestParts;
  readonly #queues = new Map<string, Entry[]>();
  readonly #wakers = new Map<string, () => void>();

  constructor(parts: DeviceRequestParts) {
    this.#parts = parts;
  }

  /**
   * Runs `send` when it is its turn and the device is there. Rejects with a `RequestFailure`; throws QUEUE_IS_FULL at once.
   */
  run<T>(
    deviceId: string,
    send: (device: Reachable, signal: AbortSignal) => Promise<T>,
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
    signal?.addEventListener('abort', () => this.#cancelEntry(deviceId, entry, signal.reason), {
      once: true,
    });
    queue.push(entry);
    if (queue.length === 1) {
      this.#queues.set(deviceId, queue);
      void this.#work(deviceId, queue);
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
    for (const entry of this.#queues.get(deviceId) ?? []) this.#cancelEntry(deviceId, entry, failure);
  }

  cancelAll(failure: RequestFailure): void {
    for (const deviceId of this.#queues.keys()) this.cancel(deviceId, failure);
  }

  #cancelEntry(deviceId: string, entry: Entry, reason: unknown): void {
    entry.cancelled.abort(reason);
    this.wake(deviceId);
  }

  async #work(deviceId: string, queue: Entry[]): Promise<void> {
    for (let entry = queue[0]; entry !== undefined; entry = queue[0]) {
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
        if (!entry.wait && entry.retries === 0) throw notConnected();
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
    // The longest delay of a timer; whoever wakes early looks at the clock again.
    const timer = setTimeout(resolve, Math.min(limitMs, 2 ** 31 - 1));
    this.#wakers.set(deviceId, resolve);
    await promise;
    this.#wakers.delete(deviceId);
    clearTimeout(timer);
  }
}
