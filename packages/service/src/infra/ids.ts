// SPDX-License-Identifier: Apache-2.0
import { randomFillSync } from 'node:crypto';

/**
 * Gives ids of 32 lower hex digits that sort in the order they were given: 12 digits Unix time in ms, 4 digits
 * counting within the millisecond, 16 random.
 */
export function idSource(now: () => number): () => string {
  const random = randomDigits();
  let last = 0;
  let sequence = 0;
  return () => {
    const time = Math.max(now(), last);
    sequence = time === last ? sequence + 1 : 0;
    // A full counter or a clock that went back must not break the order: borrow from the next millisecond.
    last = sequence > 0xffff ? time + 1 : time;
    if (sequence > 0xffff) sequence = 0;
    return last.toString(16).padStart(12, '0') + sequence.toString(16).padStart(4, '0') + random();
  };
}

/** Gives 16 hex digits at a time. They are drawn for many ids at once: each call of the generator costs more than all else of an id. */
function randomDigits(): () => string {
  const length = 8;
  const pool = Buffer.alloc(512 * length);
  let at = pool.length;
  return () => {
    if (at === pool.length) {
      randomFillSync(pool);
      at = 0;
    }
    at += length;
    return pool.toString('hex', at - length, at);
  };
}

/** `id`, or where that does not sort after `newest`, because the clock went back between two lives of a service, one that does. */
export function idAfter(newest: string | undefined, id: string): string {
  if (newest === undefined || id > newest) return id;
  const next = BigInt(`0x${newest.slice(0, 16)}`) + 1n;
  return next.toString(16).padStart(16, '0') + id.slice(16);
}

export const idPattern = /^[0-9a-f]{32}$/;
