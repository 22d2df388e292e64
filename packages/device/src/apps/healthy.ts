// SPDX-License-Identifier: Apache-2.0
import type { AppDescription, AppHealth, AppReason } from '@mbl/formats';
import { type Effects, type UnitState, Unfit } from './effects.ts';
import { healthUnitOf, unitOf } from './places.ts';

/** Milliseconds that an app has to run without an end before it counts as started. */
const settled = 5000;
/** Milliseconds between two looks, and in which everything has to be started: a slow board starts a container in seconds. */
const look = 500;
const startLimit = 180_000;
/** A release on trial is asked more often than later, and has an hour: meanwhile the other teams wait. */
const longestPause = 60_000;
const longestTrial = 3_600_000;

export interface Circumstances {
  /** An app that is stopped by order needs not be healthy. */
  readonly isStopped: (app: string) => Promise<boolean>;
  /** False: there is nothing to wait for any more. */
  readonly isWanted: () => Promise<boolean>;
}

/**
 * Waits until every app is healthy: it runs, was not started a second time, and its health command, where it has one, passes.
 * Throws `Unfit` for the first that is not.
 */
export async function becomeHealthy(
  apps: readonly AppDescription[],
  effects: Pick<Effects, 'show' | 'start' | 'pause' | 'clock'>,
  { isStopped, isWanted }: Circumstances,
): Promise<void> {
  const waiting = new Map(apps.map((app) => [app.name, new Candidate(app)]));
  const limit = startLimit + Math.min(longestTrial, Math.max(0, ...apps.map(longestHealth)));
  const until = effects.clock() + limit;
  for (;;) {
    for (const [name, candidate] of waiting)
      if ((await isStopped(name)) || (await candidate.isHealthy(effects))) waiting.delete(name);
    if (waiting.size === 0) return;
    if (effects.clock() > until)
      throw new Unfit(
        'app/did-not-start',
        `${[...waiting.keys()].join(', ')}: not healthy in ${Math.round(limit / 1000)} s`,
      );
    if (!(await isWanted())) throw new Unfit('app/replaced', 'another order came');
    await effects.pause(look);
  }
}

function longestHealth({ health }: AppDescription): number {
  return health === undefined
    ? 0
    : (health.grace + (health.failures + 1) * health.timeout) * 1000 +
        (health.failures + 1) * pauseOf(health);
}

function pauseOf({ interval }: AppHealth): number {
  return Math.min(Math.max(interval * 1000, look), longestPause);
}

class Candidate {
  readonly #app: AppDescription;
  #failures = 0;
  #next = 0;

  constructor(app: AppDescription) {
    this.#app = app;
  }

  async isHealthy(effects: Pick<Effects, 'show' | 'start' | 'clock'>): Promise<boolean> {
    const { name, health, restart } = this.#app;
    const state = await effects.show(unitOf(name));
    const end = endOf(state);
    if (state.restarts > 0 || state.active === 'failed')
      throw new Unfit(end?.reason ?? 'app/did-not-start', `${name} ${end?.detail ?? 'could not be started'}`);
    // What is to run once, and did.
    if (
      state.active === 'inactive' &&
      state.result === 'success' &&
      state.code === 1 &&
      restart.when !== 'always'
    )
      return true;
    if (state.active !== 'active' || state.activeFor < settled) return false;
    if (health === undefined) return true;
    if (effects.clock() < this.#next) return false;
    if ((await effects.start([healthUnitOf(name)], true)) === undefined) return true;
    this.#next = effects.clock() + pauseOf(health);
    if (state.activeFor < health.grace * 1000) return false;
    if (++this.#failures < health.failures) return false;
    throw new Unfit('app/unhealthy', `the health command of ${name} failed ${this.#failures} times`);
  }
}

/** How the app's program ended last; undefined where it did not. */
export function endOf({
  result,
  code,
  status,
}: UnitState): { reason: AppReason; detail: string } | undefined {
  if (result === 'oom-kill')
    return { reason: 'app/out-of-memory', detail: 'needed more memory than its limit' };
  if (code === 1) return { reason: 'app/ended', detail: `ended with the status ${status}` };
  if (code === 2 || code === 3) return { reason: 'app/killed', detail: `was ended by the signal ${status}` };
  return undefined;
}
