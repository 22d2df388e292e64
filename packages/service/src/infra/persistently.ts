// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import { isPassing } from './database.ts';

const firstPauseMs = 100;
const longestPauseMs = 5000;

/**
 * Runs what asks the database, and again after pauses that grow from 0.1 to 5 s while the database fails it for what passes. Gives undefined
 * when, after a failure, it is `wanted` no more; rejects with what does not pass.
 */
export async function persistently<T>(task: () => Promise<T>, wanted: () => boolean): Promise<T | undefined> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    try {
      return await task();
    } catch (error) {
      if (!isPassing(error)) throw error;
    }
    await delay(pauseMs, undefined, { ref: false });
    if (!wanted()) return undefined;
  }
}
