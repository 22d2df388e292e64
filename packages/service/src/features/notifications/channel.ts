// SPDX-License-Identifier: Apache-2.0
import type { NotificationMessage } from './message.ts';

/** Pelion's bounds on what waits for a client that is away. */
export const queueBytes = 50 * 1024 * 1024;
export const eventLifeMs = 24 * 3_600_000;
const defaultChunk = 1000;

interface Waiting {
  readonly message: NotificationMessage;
  readonly bytes: number;
  readonly at: number;
}

/** What one client has not been given yet: bounded, oldest dropped first. */
export class Channel {
  /** Its name among all channels. */
  readonly key: string;
  readonly kind: 'long-poll' | 'websocket';
  readonly chunk: number;
  #waiting: Waiting[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;
  #ended = false;
  /** Unix time in ms at which a client last asked or was connected. */
  usedAt: number;

  constructor(key: string, kind: Channel['kind'], now: number, chunk = defaultChunk) {
    this.key = key;
    this.kind = kind;
    this.usedAt = now;
    this.chunk = chunk;
  }

  get length(): number {
    return this.#waiting.length;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** `bytes` is about what the message takes as JSON. */
  push(message: NotificationMessage, bytes: number, now: number): void {
    this.#waiting.push({ message, bytes, at: now });
    this.#bytes += bytes;
    let drop = 0;
    while (this.#bytes > queueBytes || now - (this.#waiting[drop]?.at ?? now) > eventLifeMs) {
      this.#bytes -= this.#waiting[drop++]?.bytes ?? 0;
    }
    if (drop > 0) this.#waiting.splice(0, drop);
    this.#wake?.();
  }

  /** Takes what is waiting as one message, or undefined when nothing is. */
  take(): NotificationMessage | undefined {
    const merged: Record<string, unknown[]> = {};
    let items = 0;
    let count = 0;
    for (const { message, bytes } of this.#waiting) {
      const size = Object.values(message).reduce((sum: number, part: unknown[]) => sum + part.length, 0);
      if (count > 0 && items + size > this.chunk) break;
      for (const [key, part] of Object.entries(message)) {
        const list = (merged[key] ??= []);
        for (const one of part as unknown[]) list.push(one);
      }
      items += size;
      count += 1;
      this.#bytes -= bytes;
    }
    this.#waiting.splice(0, count);
    return count === 0 ? undefined : merged;
  }

  /** Puts what was taken, and did not reach the client, back before all that waits. `bytes` as in `push`. */
  putBack(message: NotificationMessage, bytes: number, now: number): void {
    if (this.#ended) return;
    this.#waiting.unshift({ message, bytes, at: now });
    this.#bytes += bytes;
  }

  /** Resolves when something is waiting, the channel ended or the signal fired. */
  async ready(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length > 0 || this.#ended || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const aborted = () => resolve();
    signal.addEventListener('abort', aborted);
    await promise;
    // The signal lives as long as a connection: what stays on it is paid for with each event.
    signal.removeEventListener('abort', aborted);
    // A socket that took the channel over waits here too by now.
    if (this.#wake === resolve) this.#wake = undefined;
  }

  end(): void {
    this.#ended = true;
    this.#waiting = [];
    this.#bytes = 0;
    this.#wake?.();
  }
}
