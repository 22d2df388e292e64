// SPDX-License-Identifier: Apache-2.0
import { performance } from 'node:perf_hooks';

export interface Timer {
  cancel(): void;
}

/** Monotonic time and timers, handed in so that protocol code runs under a simulated clock. */
export interface Clock {
  /** Milliseconds since some fixed instant; never goes back. */
  now(): number;
  schedule(delayMs: number, action: () => void): Timer;
}

/** Node's longest timer; a longer wait fires immediately there. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  schedule: (delayMs, action) => {
    const timer = setTimeout(action, Math.min(Math.max(delayMs, 0), LONGEST_DELAY_MS));
    return { cancel: () => clearTimeout(timer) };
  },
};
