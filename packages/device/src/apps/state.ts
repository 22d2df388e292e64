// SPDX-License-Identifier: Apache-2.0
import {
  type DesiredRelease,
  isAppName,
  isAppReason,
  isReleaseName,
  isTeam,
  isUpdateReason,
  type JsonRecord,
  parseDesiredApps,
  readRecord,
} from '@mbl/formats';
import type { Refusal } from './judge.ts';
import { mostSlots } from './owner.ts';

/** A release that did not come to run, and the order that brought it: the same order does not try it again. */
export interface FellBack extends Refusal {
  readonly release: string;
  readonly order: string;
}

/** What a team has: names of releases, '' for none. */
export interface TeamState {
  readonly current: string;
  /** What ran before: the way back. */
  readonly previous: string;
  readonly fellBack?: FellBack;
}

/**
 * `install`: nothing that runs is touched. `try`: the old apps stop, the new ones start and have to become healthy. `commit`: they are, there
 * is no way back. `back`: what ran before runs again. `remove`: the apps of the team stop for good.
 */
export const phases = ['install', 'try', 'commit', 'back', 'remove'] as const;

/** What is being done about a team: the journal has it until it is done. */
export interface Change {
  readonly team: string;
  /** What ran when it began, and what is to run; '' for nothing. */
  readonly from: string;
  readonly to: string;
  /** True: `to` is `previous`, and somebody wants it back. */
  readonly rollback: boolean;
  /** Of who wants it back, for the answer; '' where nobody waits for one. */
  readonly ask: string;
  readonly phase: (typeof phases)[number];
  /** How often `try` was begun: a release that takes the device down with it is not tried for ever. */
  readonly attempts: number;
  readonly order: string;
  /** `back`: why. */
  readonly reason: Refusal['reason'] | '';
  readonly detail: string;
}

/** Which number an app has, as long as it has volumes. */
export type Slots = ReadonlyMap<string, { readonly team: string; readonly slot: number }>;

const orderId = /^[0-9a-f]{0,64}$/;
export const askId = /^[0-9a-f]{16}$/;
const sentence = /^[^\p{Cc}]*$/u;

/** What is not well formed counts as not there: it is on a partition that nobody believes. */
export function parseTeamState(text: string): TeamState | undefined {
  return lenient(text, (json) => {
    const fellBack = json.is('fellBack', undefined) ? undefined : json.object('fellBack');
    return {
      current: releaseOrNone(json, 'current'),
      previous: releaseOrNone(json, 'previous'),
      ...(fellBack && {
        fellBack: {
          release: releaseOrNone(fellBack, 'release'),
          order: fellBack.string('order', orderId),
          ...refusalOf(fellBack),
        },
      }),
    };
  });
}

export function parseChange(text: string): Change | undefined {
  return lenient(text, (json) => {
    const phase = phases.find((one) => json.is('phase', one));
    const team = json.string('team');
    if (phase === undefined || !isTeam(team)) throw json.fail('not a change');
    const reason = json.is('reason', '') ? '' : refusalOf(json).reason;
    return {
      team,
      from: releaseOrNone(json, 'from'),
      to: releaseOrNone(json, 'to'),
      rollback: json.is('rollback', true),
      ask: json.is('ask', '') ? '' : json.string('ask', askId),
      phase,
      attempts: json.integer('attempts', 1000),
      order: json.string('order', orderId),
      reason,
      detail: json.string('detail', sentence, 1024),
    };
  });
}

/** Undefined: nobody says. Nobody is without apps because a file is damaged. */
export function parseDesired(text: string | undefined): readonly DesiredRelease[] | undefined {
  try {
    return text === undefined ? undefined : parseDesiredApps(text).releases;
  } catch {
    return undefined;
  }
}

export function parseSlots(text: string): Slots {
  const slots = new Map<string, { team: string; slot: number }>();
  const taken = new Set<number>();
  lenient(text, (json) => {
    for (const [app, entry] of json.entries('apps', mostSlots)) {
      const [team, slot] = [entry.string('team'), entry.integer('slot', mostSlots - 1)];
      if (!isAppName(app) || !isTeam(team) || taken.has(slot)) continue;
      taken.add(slot);
      slots.set(app, { team, slot });
    }
  });
  return slots;
}

export function formatSlots(slots: Slots): string {
  return `${JSON.stringify({ version: 1, apps: Object.fromEntries(slots) })}\n`;
}

/** The lowest number that nobody has. Throws where there is none. */
export function freeSlot(slots: Slots): number {
  const taken = new Set([...slots.values()].map(({ slot }) => slot));
  for (let slot = 0; slot < mostSlots; slot++) if (!taken.has(slot)) return slot;
  throw new Error(`there are ${mostSlots} apps`);
}

/** A rollback index; 0 for what is not well formed. */
export function parseAccepted(text: string): number {
  return lenient(text, (json) => json.integer('rollbackIndex')) ?? 0;
}

/** A sentence that fits into every document. */
export function plainSentence(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 500);
}

function refusalOf(json: JsonRecord): Refusal {
  const reason = json.string('reason');
  return {
    reason: isAppReason(reason) || isUpdateReason(reason) ? reason : 'app/failed',
    detail: json.string('detail', sentence, 1024),
  };
}

function releaseOrNone(json: JsonRecord, name: string): string {
  if (json.is(name, '')) return '';
  const release = json.string(name);
  if (!isReleaseName(release)) throw json.fail(`"${name}" is no name of a release`);
  return release;
}

function lenient<T>(text: string, read: (json: JsonRecord) => T): T | undefined {
  if (text === '') return undefined;
  try {
    return read(readRecord(text, { path: '', code: 'device/bad-app-state', most: 1 << 20 }));
  } catch {
    return undefined;
  }
}
