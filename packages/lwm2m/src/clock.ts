// SPDX-License-Identifier: Apache-2.0

export interface Timer {
  cancel(): void;
}

/** Time as the protocol sees it; handed in, so that tests run on a simulated one. */
export interface Clock {
  /** Milliseconds since some fixed instant; never goes back. */
  now(): number;
  schedule(delayMs: number, action: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  schedule(delayMs, action) {
    const timer = setTimeout(action, Math.min(Math.max(delayMs, 0), 2 ** 31 - 1));
    return { cancel: () => clearTimeout(timer) };
  },
};
