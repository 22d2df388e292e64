// SPDX-License-Identifier: Apache-2.0

const HALF = 2 ** 23;
const SURELY_NEWER_MS = 128_000;

/** One notification's Observe value and when it came. */
export interface Arrived {
  sequence: number;
  atMs: number;
}

/** Whether `next` was sent after `last`, over a transport that reorders (RFC 7641 §3.4). */
export function isFresher(last: Arrived, next: Arrived): boolean {
  return (
    (last.sequence < next.sequence && next.sequence - last.sequence < HALF) ||
    (last.sequence > next.sequence && last.sequence - next.sequence > HALF) ||
    next.atMs > last.atMs + SURELY_NEWER_MS
  );
}
