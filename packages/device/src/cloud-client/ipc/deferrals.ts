// SPDX-License-Identifier: Apache-2.0
import type { Log } from '../../common/log.ts';
import { BusError } from './bus-error.ts';

interface Deferral {
  readonly app: string;
  readonly reason: string;
  /** Milliseconds, on the clock of `now`. */
  readonly until: number;
}

/** What the updater asks before it restarts the board. */
export interface RestartDeferrals {
  /** Who asks that the board does not restart now; undefined where nobody does. */
  current(): { readonly app: string; readonly reason: string } | undefined;
}

/** Where no app can ask. */
export const noDeferrals: RestartDeferrals = { current: () => undefined };

export interface DeferralOptions {
  /** The longest that an app may ask for, in seconds: the owner's. */
  readonly longest: () => number;
  readonly log: Log;
  /** Milliseconds, never back. */
  readonly now?: () => number;
}

/** Apps that ask for a restart to wait. What they asked for is gone with this process. */
export class Deferrals implements RestartDeferrals {
  readonly #options: DeferralOptions;
  readonly #now: () => number;
  readonly #byUid = new Map<number, Deferral>();

  constructor(options: DeferralOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** For so many seconds from now, or as many as the owner lets an app have; 0 ends it. Returns the seconds. */
  ask(uid: number, app: string, seconds: number, reason: string): number {
    if (reason.length > 128 || !/^[^\p{Cc}]*$/u.test(reason))
      throw new BusError('InvalidArgs', 'a reason is a text of at most 128 characters');
    const granted = Math.min(seconds, this.#options.longest());
    const before = this.#byUid.has(uid);
    if (granted === 0) this.#byUid.delete(uid);
    else this.#byUid.set(uid, { app, reason, until: this.#now() + granted * 1000 });
    // An app that asks again and again is told of once.
    if (before !== this.#byUid.has(uid))
      this.#options.log.info('restart deferred', { app, seconds: granted });
    return granted;
  }

  /** Who may no longer ask. */
  keep(mayAsk: (uid: number) => boolean): void {
    for (const uid of this.#byUid.keys()) if (!mayAsk(uid)) this.#byUid.delete(uid);
  }

  current(): { readonly app: string; readonly reason: string } | undefined {
    const now = this.#now();
    for (const [uid, { until }] of this.#byUid) if (until <= now) this.#byUid.delete(uid);
    const [first] = this.#byUid.values();
    return first && { app: first.app, reason: first.reason };
  }
}
