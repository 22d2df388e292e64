// SPDX-License-Identifier: Apache-2.0
//
// What is to be done, from what is there and what is wanted: no file, no clock. Whoever carries it out asks again after a power cut, and
// goes on from the phase that the journal has: each step does nothing where it was done.
import type { AppDescription, AppImage, DesiredRelease } from '@mbl/formats';
import { isRefusal, type JudgedRelease, type Refusal } from './judge.ts';
import { obstacleOf, type Surroundings, systemTooOld } from './obstacles.ts';
import { notAllowed } from './policy.ts';
import type { Change, TeamState } from './state.ts';

type Judged = JudgedRelease | Refusal;

/** A release that was brought, and what its metadata says. `id` is another one each time that it is ordered. */
export interface Offered {
  readonly id: string;
  readonly release: string;
  readonly judged: Judged;
}

export interface View extends Pick<Surroundings, 'policy' | 'unconfined' | 'os' | 'capacity' | 'files'> {
  /** Undefined: nobody says. Then nothing changes. */
  readonly desired: readonly DesiredRelease[] | undefined;
  readonly offered: ReadonlyMap<string, Offered>;
  readonly teams: ReadonlyMap<string, TeamState>;
  /** What is kept of releases, by `<team>/<release>`, judged by the root of the image. */
  readonly kept: ReadonlyMap<string, Judged>;
  /** fs-verity digests of images that are installed and are what was signed. */
  readonly images: ReadonlySet<string>;
  /** fs-verity digests of images of offered releases that are on the device, whatever is in them. */
  readonly fetched: ReadonlySet<string>;
  /** Teams that are to go back to what ran before, and the name of the ask. */
  readonly rollbacks: ReadonlyMap<string, string>;
  readonly change: Change | undefined;
  /** The operating system has not proved good yet, and may go away again: what it does to an app says nothing against the app. */
  readonly onTrial: boolean;
}

export type Step =
  /** Writes the journal. */
  | { readonly do: 'note'; readonly change: Change }
  | { readonly do: 'image'; readonly app: string; readonly image: AppImage }
  /** Keeps what vouches for the release that was brought. */
  | { readonly do: 'keep'; readonly team: string; readonly release: string }
  | { readonly do: 'volumes'; readonly team: string; readonly app: AppDescription }
  | { readonly do: 'stop'; readonly apps: readonly string[] }
  | { readonly do: 'start'; readonly release: JudgedRelease; readonly must: boolean }
  /** Until all apps are healthy, or the release is not wanted any more. */
  | { readonly do: 'await'; readonly change: Change; readonly apps: readonly AppDescription[] }
  | { readonly do: 'accept'; readonly team: string; readonly rollbackIndex: number }
  /** Undefined: the team has nothing any more. */
  | { readonly do: 'commit'; readonly team: string; readonly state: TeamState | undefined }
  /** Removes what no team has any more. */
  | { readonly do: 'sweep' }
  /** Takes the journal away. */
  | { readonly do: 'done' };

/** How a team's wanted release stands while nothing is done about it. */
export interface Verdict {
  readonly state: 'waits' | 'refused' | 'fell-back' | 'running';
  readonly reason: Refusal['reason'] | '';
  readonly detail: string;
}

export interface Plan {
  /** What to do next; undefined: nothing. */
  readonly change: Change | undefined;
  /** Of each team that is to have something. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
}

const none: TeamState = { current: '', previous: '' };

const onTrial: Verdict = {
  state: 'waits',
  reason: 'app/os-on-trial',
  detail: 'the operating system has not proved good yet',
};

/** Removals come first: they make room, and give names back. Nothing begins while the operating system is on trial. */
export function plan(view: View): Plan {
  const verdicts = new Map<string, Verdict>();
  const changes: Change[] = [];
  for (const [team, ask] of view.rollbacks) {
    const { current, previous } = view.teams.get(team) ?? none;
    const judged = view.kept.get(`${team}/${previous}`);
    if (previous !== '' && judged !== undefined && !isRefusal(judged) && faultOf(view, judged) === undefined)
      changes.push({ ...fresh(team, current, previous, 'try'), rollback: true, ask, attempts: 1 });
  }
  const { desired } = view;
  if (desired !== undefined)
    for (const [team, { current }] of view.teams)
      if (!desired.some((one) => one.team === team)) changes.push(fresh(team, current, '', 'remove'));
  for (const { team, release } of desired ?? []) {
    const found = decide(view, team, release);
    if (!('team' in found)) verdicts.set(team, found);
    else if (view.onTrial) verdicts.set(team, onTrial);
    else changes.push(found);
  }
  return { change: view.onTrial ? undefined : changes[0], verdicts };
}

function fresh(team: string, from: string, to: string, phase: Change['phase'], order = ''): Change {
  return { team, from, to, rollback: false, ask: '', phase, attempts: 0, order, reason: '', detail: '' };
}

function decide(view: View, team: string, release: string): Change | Verdict {
  const state = view.teams.get(team) ?? none;
  const { current } = state;
  const running = view.kept.get(`${team}/${current}`);
  const fault = current === '' ? undefined : faultOf(view, running);
  if (current === release && fault === undefined) return { state: 'running', reason: '', detail: '' };
  const found = decideOffer(view, team, release, state);
  // As long as nothing mends it, what is wrong with the one that is there is worth more than what is wrong with the order.
  return fault !== undefined && current === release && !('team' in found)
    ? { state: fault.reason === 'app/not-allowed' ? 'refused' : 'waits', ...fault }
    : found;
}

function decideOffer(
  view: View,
  team: string,
  release: string,
  { current, fellBack }: TeamState,
): Change | Verdict {
  const offer = view.offered.get(team);
  const before = fellBack?.release === release ? fellBack : undefined;
  const fell = before && ({ state: 'fell-back', reason: before.reason, detail: before.detail } as const);
  if (offer === undefined || offer.release !== release)
    return fell ?? { state: 'waits', reason: '', detail: 'it has not been fetched yet' };
  if (fell !== undefined && before?.order === offer.id) return fell;
  if (isRefusal(offer.judged)) {
    const { reason } = offer.judged;
    // A clock that is not set yet says so too.
    return { state: reason === 'update/metadata-expired' ? 'waits' : 'refused', ...offer.judged };
  }
  // Also one that was there: it may have been another team's, which does not need it any more.
  if (offer.judged.apps.some(({ image }) => !view.fetched.has(image.fsVerity)))
    return { state: 'waits', reason: '', detail: 'it has not been fetched yet' };
  return obstacleOf(offer.judged, around(view, team)) ?? fresh(team, current, release, 'install', offer.id);
}

/** What keeps an installed release from being run as it is. */
export function faultOf(view: View, judged: Judged | undefined): Refusal | undefined {
  if (judged === undefined) return { reason: 'app/damaged', detail: 'what vouches for the release is gone' };
  if (isRefusal(judged)) return { reason: 'app/damaged', detail: judged.detail };
  for (const app of judged.apps) {
    const fault = faultOfApp(view, judged.team, app);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** The same of one of its apps: the others run. */
export function faultOfApp(view: View, team: string, app: AppDescription): Refusal | undefined {
  if (view.unconfined !== undefined) return { reason: 'app/not-confined', detail: view.unconfined };
  if (!view.images.has(app.image.fsVerity))
    return { reason: 'app/damaged', detail: `the image of ${app.name} is not the one that was signed` };
  // Its system went away again.
  const tooOld = systemTooOld(view.os, app);
  if (tooOld !== undefined) return tooOld;
  // A newer operating system may allow less.
  const denied = notAllowed(view.policy, team, app);
  return denied === undefined
    ? undefined
    : { reason: 'app/not-allowed', detail: `${app.name} asks for ${denied}` };
}

function around(view: View, team: string): Surroundings {
  const others: JudgedRelease[] = [];
  const holders: JudgedRelease[] = [];
  const images = new Map<string, number>();
  for (const [name, { current, previous }] of view.teams)
    for (const release of [current, previous]) {
      const judged = view.kept.get(`${name}/${release}`);
      if (judged === undefined || isRefusal(judged)) continue;
      if (name !== team && release === current) others.push(judged);
      if (name !== team) holders.push(judged);
      // What ran before the one that runs goes as soon as the new one does.
      if (name === team && release === previous) continue;
      for (const { image } of judged.apps) images.set(image.fsVerity, image.size);
    }
  const kept = [...images.values()].reduce((sum, size) => sum + size, 0);
  const { policy, unconfined, os, capacity, files } = view;
  return { policy, unconfined, os, capacity, files, others, holders, kept };
}

/** A release that takes the device down with it gives way after so many starts. */
const mostAttempts = 3;

/** What is left of a change from its phase on. */
export function stepsOf(change: Change, view: View): Step[] {
  const { team, from, to, phase } = change;
  const judged = (release: string) => {
    const found = release === '' ? undefined : view.kept.get(`${team}/${release}`);
    return found === undefined || isRefusal(found) ? undefined : found;
  };
  const note = (next: Partial<Change>): Step => ({ do: 'note', change: { ...change, ...next } });
  const names = (release: JudgedRelease | undefined) => release?.apps.map(({ name }) => name) ?? [];
  const state = view.teams.get(team) ?? none;
  const end: Step[] = [{ do: 'sweep' }, { do: 'done' }];
  switch (phase) {
    case 'install': {
      const offer = view.offered.get(team);
      const release = offer?.judged;
      if (offer?.release !== to || release === undefined || isRefusal(release))
        return stepsOf(backFrom(change, { reason: 'app/replaced', detail: 'another order came' }), view);
      // A journal may say what nobody ever decided.
      const obstacle = obstacleOf(release, around(view, team));
      if (obstacle !== undefined) return stepsOf(backFrom(change, obstacle), view);
      return [
        note({}),
        ...release.apps.map(({ name, image }): Step => ({ do: 'image', app: name, image })),
        { do: 'keep', team, release: to },
        ...release.apps.map((app): Step => ({ do: 'volumes', team, app })),
        note({ phase: 'try', attempts: 1 }),
        ...tryOut({ ...change, attempts: 1 }, release, names(judged(from))),
      ];
    }
    case 'try': {
      const release = judged(to);
      if (release === undefined)
        return stepsOf(
          backFrom(change, { reason: 'app/damaged', detail: 'what vouches for it is gone' }),
          view,
        );
      const fault = faultOf(view, release);
      if (fault !== undefined) return stepsOf(backFrom(change, fault), view);
      return [note({}), ...tryOut(change, release, names(judged(from)))];
    }
    case 'commit': {
      const release = judged(to);
      const given =
        release === undefined ? [] : [{ do: 'accept', team, rollbackIndex: release.rollbackIndex } as const];
      // Somebody wanted another one than was ordered: that order does not bring it again.
      const ordered = view.offered.get(team);
      const fellBack = {
        release: ordered?.release ?? from,
        order: ordered?.id ?? '',
        reason: 'app/replaced',
        detail: 'the release before it was wanted back',
      } as const;
      // An accepted rollback index takes back what has a lower one.
      const index = judged(from)?.rollbackIndex ?? 0;
      const before = from === to ? state.previous : index < (release?.rollbackIndex ?? 0) ? '' : from;
      const next = { current: to, previous: before };
      return [
        ...given,
        { do: 'commit', team, state: { ...next, ...(change.rollback && { fellBack }) } },
        ...end,
      ];
    }
    case 'back': {
      const before = judged(from);
      const { order, reason, detail } = change;
      const added = names(judged(to)).filter((name) => !names(before).includes(name));
      const back = {
        ...state,
        fellBack: { release: to, order, reason: reason === '' ? 'app/failed' : reason, detail },
      } as const;
      const touched = change.attempts > 0;
      const apps = before?.apps.filter((app) => faultOfApp(view, team, app) === undefined) ?? [];
      return [
        note({}),
        ...(touched ? [{ do: 'stop', apps: [...names(before), ...added] } as const] : []),
        ...(before === undefined || !touched
          ? []
          : [{ do: 'start', release: { ...before, apps }, must: false } as const]),
        // What the new one took makes room for the note, where the team has a state by which it is known what stays.
        ...(view.teams.has(team) ? [{ do: 'sweep' } as const] : []),
        { do: 'commit', team, state: back },
        ...(view.teams.has(team) ? [{ do: 'done' } as const] : end),
      ];
    }
    case 'remove':
      return [
        note({}),
        { do: 'stop', apps: names(judged(from)) },
        { do: 'commit', team, state: undefined },
        ...end,
      ];
  }
}

function tryOut(change: Change, release: JudgedRelease, before: readonly string[]): Step[] {
  const after = release.apps.map(({ name }) => name);
  return [
    // Also those that a try before this one started, of which nobody knows how far they came.
    { do: 'stop', apps: [...new Set([...before, ...after])] },
    { do: 'start', release, must: true },
    { do: 'await', change, apps: release.apps },
    { do: 'note', change: { ...change, phase: 'commit' } },
  ];
}

/** The way back, from wherever a change failed. */
export function backFrom(change: Change, { reason, detail }: Refusal): Change {
  return { ...change, phase: 'back', reason, detail };
}

/**
 * True for a change that waits for the end of a trial, or for a system that confines apps: what ran before it runs meanwhile, where it may. What is decided
 * is brought to its end: there is nothing left in it that an operating system could spoil.
 */
export function waitsForSystem({ phase }: Change): boolean {
  return phase === 'install' || phase === 'try';
}

/** A change that a start of the device found in its journal. */
export function resumed(change: Change): Change {
  if (change.phase !== 'try') return change;
  if (change.attempts >= mostAttempts)
    return backFrom(change, {
      reason: 'app/did-not-start',
      detail: `the device did not get through ${change.attempts} starts of it`,
    });
  return { ...change, attempts: change.attempts + 1 };
}
