// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { MblError } from '@mbl/trust';

const pauseMs = 1000;
/** Longer than three starts of an operating system in vain and the verdict on each. */
const patienceMs = 45 * 60_000;

export interface FollowOptions<T> {
  /** How it stands now. */
  readonly look: () => Promise<T>;
  readonly tell: (now: T) => void;
  readonly ended: (now: T) => boolean;
  /** Whose it is, and the command that shows how it stands, for messages. */
  readonly who: string;
  readonly show: string;
  readonly signal: AbortSignal;
}

/** Looks once a second until it has ended, through restarts of the service. Throws `cli/update-endless` when it runs longer than anything takes. */
export async function follow<T>({ look, tell, ended, who, show, signal }: FollowOptions<T>): Promise<T> {
  const until = performance.now() + patienceMs;
  while (performance.now() < until) {
    const now = await look().catch((error: unknown) => {
      // What was ordered outlives a service that is started anew.
      if (isAway(error) && !signal.aborted) return undefined;
      throw error;
    });
    if (now !== undefined) {
      tell(now);
      if (ended(now)) return now;
    }
    await sleep(pauseMs, undefined, { signal });
  }
  throw new MblError(
    'cli/update-endless',
    `${who}: not at an end after ${patienceMs / 60_000} minutes; the order stays until it is`,
    { remedy: `See how it stands: ${show}` },
  );
}

function isAway(error: unknown): boolean {
  return error instanceof MblError && error.code === 'service/unreachable';
}
