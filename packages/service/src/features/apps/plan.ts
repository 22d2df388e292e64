// SPDX-License-Identifier: Apache-2.0
import type { AppReleaseStatus } from '@mbl/formats';
import { differs } from './desired.ts';

/** What decides what comes next for the apps of a device that is connected. */
export interface AppFacts {
  /** The document that it is to have. */
  readonly wanted: string;
  /** The one that it has; undefined: to be read. */
  readonly held: string | undefined;
  /** The document that it refused to take, until it is tried again. */
  readonly refused: string | undefined;
  /** Whether it was asked how its apps do, and whether it tells by itself what changes. */
  readonly observed: boolean;
  readonly tells: boolean;
  /** Something came from it that is not written down. */
  readonly unwritten: boolean;
  /** How its releases stood last. */
  readonly releases: readonly AppReleaseStatus[];
}

/**
 * `read`: which document it holds; `write`: tell it; `observe`: ask how its apps do, now and from then on; `store`: write down what it said;
 * `look`: see again after a pause how it goes on; `later`: try again what it refused; `rest`: nothing is to be done before something changes.
 */
export type AppStep = 'read' | 'write' | 'observe' | 'store' | 'look' | 'later' | 'rest';

/** States in which a device works on a release, or waits for what passes. */
const onTheWay: readonly AppReleaseStatus['state'][] = [
  'waits',
  'fetching',
  'installing',
  'trying',
  'removing',
];

/** Each step may be done twice, and none needs its answer: what was lost on the way shows in what the device says next. */
export function planApps(facts: AppFacts): AppStep {
  const { wanted, held, refused, observed, tells, unwritten, releases } = facts;
  if (held === undefined) return 'read';
  const told = !differs(held, wanted);
  if (!told && refused !== wanted) return 'write';
  if (!observed) return 'observe';
  if (unwritten) return 'store';
  if (!told) return 'later';
  return !tells && releases.some(({ state }) => onTheWay.includes(state)) ? 'look' : 'rest';
}
