// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../infra/log.ts';

/** How often a device is looked at that has something to do. */
export interface LookTiming {
  /** How long a device may take for one request, in milliseconds. */
  readonly timeoutMs: number;
  /** The shortest and the longest time between two looks at a device: short while something changes. */
  readonly shortestMs: number;
  readonly longestMs: number;
  /** Before something is tried again that failed for a reason that passes: a mirror that stayed away for an hour, say. */
  readonly againMs: number;
}

export const usualTiming: LookTiming = {
  timeoutMs: 30_000,
  shortestMs: 1000,
  longestMs: 15_000,
  againMs: 300_000,
};

export interface LookParts {
  readonly timing: LookTiming;
  readonly log: Log;
  /**
   * One look: sees what the device does, and does what comes next. Gives what was seen, to be told from the next time; undefined when there
   * is nothing to be done for now.
   */
  readonly step: (deviceId: string) => Promise<string | undefined>;
  /** The line of the log when a look fails for what does not pass. */
  readonly failed: string;
}

/** Looks in a second, over all devices, beside those that something new is the cause of. */
const looksPerSecond = 100;

interface Work {
  /** Ends the pause before the next look. */
  look: AbortController;
  /** One more look is wanted, after a pause. */
  again: boolean;
  done: Promise<void>;
}

/**
 * Looks at devices again and again, each by itself, while there is something to do for them: after pauses that grow while nothing changes, and
 * with the number of devices.
 */
export class Looks implements AsyncDisposable {
  readonly #parts: LookParts;
  readonly #work = new Map<string, Work>();
  readonly #stopped = new AbortController();

  constructor(parts: LookParts) {
    this.#parts = parts;
  }

  get stopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  /** The device is to be looked at now. */
  look(deviceId: string): void {
    const work = this.#work.get(deviceId);
    if (work === undefined) this.#begin(deviceId);
    else work.look.abort();
  }

  /** The same for what a device may cause as often as it likes: one that is looked at already has its pause before the next look. */
  soon(deviceId: string): void {
    const work = this.#work.get(deviceId);
    if (work === undefined) this.#begin(deviceId);
    else work.again = true;
  }

  /** Whether `look` was called for a device since the present look at it began. */
  changed(deviceId: string): boolean {
    return this.#work.get(deviceId)?.look.signal.aborted === true;
  }

  /** For one request to a device. */
  limit(): AbortSignal {
    return AbortSignal.any([AbortSignal.timeout(this.#parts.timing.timeoutMs), this.#stopped.signal]);
  }

  #begin(deviceId: string): void {
    if (this.stopped) return;
    const work: Work = { look: new AbortController(), again: false, done: Promise.resolve() };
    this.#work.set(deviceId, work);
    work.done = this.#carry(deviceId, work);
  }

  async #carry(deviceId: string, work: Work): Promise<void> {
    const { timing, log, step, failed } = this.#parts;
    try {
      let pauseMs = timing.shortestMs;
      for (let before = ''; !this.stopped; ) {
        const looked = work.look.signal.aborted;
        if (looked) work.look = new AbortController();
        const again = work.again;
        work.again = false;
        const seen = await step(deviceId);
        // Somebody may have changed something in the turn in which nothing was seen to be left.
        if (seen === undefined && work.look.signal.aborted) continue;
        if (seen === undefined && !work.again) return;
        pauseMs =
          looked || again || seen !== before
            ? timing.shortestMs
            : Math.min(timing.longestMs, Math.ceil(pauseMs * 1.5));
        before = seen ?? '';
        const signal = AbortSignal.any([work.look.signal, this.#stopped.signal]);
        const shareMs = (this.#work.size * 1000) / looksPerSecond;
        await delay(Math.max(pauseMs, shareMs), undefined, { signal, ref: false }).catch(() => undefined);
      }
    } catch (error) {
      log.error(failed, { deviceId, error });
    } finally {
      this.#work.delete(deviceId);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(new Error('the service stops'));
    await Promise.all([...this.#work.values()].map(({ done }) => done));
  }
}
