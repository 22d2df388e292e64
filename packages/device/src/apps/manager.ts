// SPDX-License-Identifier: Apache-2.0
import { type AppReleaseStatus, type DesiredRelease, isTeam } from '@mbl/formats';
import { isErrno } from '../common/files.ts';
import { usesBus } from './bundle.ts';
import { type Effects, Unfit } from './effects.ts';
import { Executor, type ExecutorOptions } from './executor.ts';
import { isRefusal, type JudgedRelease, type Refusal } from './judge.ts';
import { Observer, type Ground } from './observe.ts';
import { idsOf } from './owner.ts';
import type { AppPaths } from './places.ts';
import {
  backFrom,
  faultOf,
  faultOfApp,
  plan,
  resumed,
  stepsOf,
  type Verdict,
  type View,
  waitsForSystem,
} from './plan.ts';
import { type Change, parseChange, plainSentence } from './state.ts';
import { isOnTrial } from './trial.ts';

export interface ManagerOptions extends ExecutorOptions {
  readonly ground: Ground;
  /** The group that reads who an app of the bus is. */
  readonly callersGroup: number;
}

/** More changes than there are teams, twice over: whatever is wrong, it ends. */
const mostChanges = 64;

/**
 * Brings what runs to what is wanted, and leaves alone what runs already: at a start of the device, after an order, and again after it was cut
 * off anywhere.
 */
export class AppManager {
  readonly #effects: Effects;
  readonly #paths: AppPaths;
  readonly #options: ManagerOptions;
  readonly #executor: Executor;
  readonly #observer: Observer;
  #change: Change | undefined;
  /** For the whole of a run: as soon as the trial ends well there is another one. */
  #onTrial = false;

  constructor(options: ManagerOptions) {
    this.#effects = options.effects;
    this.#paths = options.paths;
    this.#options = options;
    this.#executor = new Executor(options);
    this.#observer = new Observer(options.effects, options.paths, options.ground);
  }

  async run(): Promise<void> {
    // First: whoever asks from here on is heard by the next run.
    await this.#effects.remove(this.#paths.trigger);
    await this.#effects.remove(this.#paths.go);
    await this.#executor.prepare();
    this.#onTrial = await isOnTrial(this.#effects, this.#paths);
    const journal = await this.#effects.read(this.#paths.journal, 1 << 16);
    const found = journal === undefined ? undefined : parseChange(journal);
    // It stays in the journal, and counts for nothing before: a start that the operating system spoils is none of its own.
    const spoilt = this.#onTrial || this.#options.ground.unconfined !== undefined;
    const waits = spoilt && found !== undefined && waitsForSystem(found);
    this.#change = waits || found === undefined ? undefined : resumed(found);
    await this.#hearOnce();
    let view = await this.#look();
    await this.#ensure(view);
    for (let i = 0; i < mostChanges; i++) {
      const change = this.#change ?? plan(view).change;
      if (change === undefined) break;
      await this.#carryOut(change);
      view = await this.#look();
      await this.#ensure(view);
    }
    await this.#refuseRollbacks(view);
    // Numbers that apps were given as they started, and no look: each one measures every image.
    await this.#publish(view);
  }

  async #look(): Promise<View> {
    return await this.#observer.view(this.#change, this.#onTrial);
  }

  /** What is installed runs, unless something is being done about it. */
  async #ensure(view: View): Promise<void> {
    await this.#publish(view);
    const failures: Error[] = [];
    for (const [team, release] of liveReleases(view)) {
      if (this.#change?.team === team && this.#change.phase !== 'install') continue;
      const apps = release.apps.filter((app) => faultOfApp(view, team, app) === undefined);
      await this.#executor
        .start({ ...release, apps }, 'may')
        .catch((error: unknown) => failures.push(error instanceof Error ? error : new Error(String(error))));
    }
    // The other teams run: the next run tries again.
    const [first] = failures;
    if (first !== undefined) throw first;
  }

  async #carryOut(first: Change): Promise<void> {
    this.#change = first;
    while (this.#change !== undefined) {
      const change: Change = this.#change;
      const view = await this.#look();
      try {
        for (const step of stepsOf(change, view)) {
          if (step.do === 'start') await this.#publish(await this.#look());
          await this.#executor.perform(step, () => this.#look());
          if (step.do === 'note') {
            // Not before: what the journal does not say has not been decided.
            this.#change = step.change;
            await this.#hearOnce();
            this.#effects.say(sentenceOf(step.change));
            await this.#publish(await this.#look());
          }
          if (step.do === 'done') this.#change = undefined;
        }
      } catch (error) {
        const { phase } = this.#change ?? change;
        // Past that there is no way but on: the next run goes on from the journal.
        if (phase !== 'install' && phase !== 'try') throw error;
        this.#change = backFrom(this.#change ?? change, refusalOf(error));
        // Said before it is noted: a disk that is full may not let it be.
        if (isErrno(error, 'ENOSPC')) await this.#publish(await this.#look());
        await this.#executor.perform({ do: 'note', change: this.#change }, () => this.#look());
      }
    }
    const state = (await this.#look()).teams.get(first.team);
    const fault = state?.fellBack?.detail ?? `the release ${first.to} does not run`;
    await this.#answer(first.ask, state?.current === first.to ? '' : fault);
  }

  /** What the journal has need not be asked for any more: it would be done twice. */
  async #hearOnce(): Promise<void> {
    if (this.#change?.rollback !== true) return;
    const path = this.#paths.rollback(this.#change.team);
    const ask = await this.#effects.read(path, 256);
    if (ask?.trim() === this.#change.ask) await this.#effects.remove(path);
  }

  /** Those that were there when it was decided: the next run decides on later ones. */
  async #refuseRollbacks({ rollbacks }: View): Promise<void> {
    for (const [team, ask] of rollbacks) {
      const none = `${team} has no release before this one that could run`;
      const later = 'the operating system has not proved good yet: ask again in some minutes';
      await this.#answer(ask, this.#onTrial ? later : none);
      await this.#effects.remove(this.#paths.rollback(team));
    }
    // As long as there is something in it, this program is started again (mbl-apps.path); but for what somebody is still writing.
    for (const name of await this.#effects.list(this.#paths.rollbacks))
      if (!name.startsWith('.') && !isTeam(name)) await this.#effects.remove(this.#paths.rollback(name));
  }

  async #answer(id: string, error: string): Promise<void> {
    if (id === '') return;
    const text = `${JSON.stringify({ id, error: plainSentence(error) })}\n`;
    await this.#effects.write(this.#paths.answer(id), text, { mode: 0o644 });
  }

  async #publish(view: View): Promise<void> {
    const releases = releaseStatuses(view, this.#change);
    const apps = liveReleases(view).flatMap(([team, release]) =>
      release.apps.map((app) => {
        const fault = faultOfApp(view, team, app);
        return {
          name: app.name,
          team,
          release: release.release,
          version: app.release,
          image: app.image.fsVerity,
          reason: fault?.reason ?? '',
          detail: fault?.detail ?? '',
        };
      }),
    );
    const slots = await this.#executor.slots();
    const callers = liveReleases(view).flatMap(([team, { apps: all }]) =>
      all.filter(usesBus).flatMap((app) => {
        const slot = slots.get(app.name);
        if (slot?.team !== team) return [];
        const { resources, permissions } = app;
        return [
          [
            String(idsOf(app, slot.slot).uid),
            { app: app.name, team, resources, ...permissions.bus },
          ] as const,
        ];
      }),
    );
    const write = (path: string, value: object, gid: number, mode: number) =>
      this.#effects.write(path, `${JSON.stringify({ version: 1, ...value })}\n`, { mode, uid: 0, gid });
    await write(
      this.#paths.callers,
      { callers: Object.fromEntries(callers) },
      this.#options.callersGroup,
      0o640,
    );
    await write(this.#paths.status, { releases, apps }, 0, 0o644);
  }
}

/** Whose apps are up, or are to be. */
function liveReleases({ teams, kept, change }: View): [string, JudgedRelease][] {
  const live: [string, JudgedRelease][] = [];
  const names = new Map([...teams].map(([team, { current }]) => [team, current]));
  if (change !== undefined) {
    const tried = change.phase === 'try' || change.phase === 'commit';
    names.set(change.team, change.phase === 'remove' ? '' : tried ? change.to : change.from);
  }
  for (const [team, release] of names) {
    const judged = kept.get(`${team}/${release}`);
    if (judged !== undefined && !isRefusal(judged)) live.push([team, judged]);
  }
  return live;
}

function refusalOf(error: unknown): Refusal {
  if (isErrno(error, 'ENOSPC')) return { reason: 'app/no-room', detail: 'there is no room on the device' };
  const detail = plainSentence(error instanceof Error ? error.message : String(error));
  return { reason: error instanceof Unfit ? error.reason : 'app/failed', detail };
}

function sentenceOf({ team, from, to, phase, reason, detail }: Change): string {
  const why = reason === '' ? '' : `: ${detail} (${reason})`;
  return `${team}: ${phase} ${from === '' ? 'nothing' : from} -> ${to === '' ? 'nothing' : to}${why}`;
}

const busy = {
  install: 'installing',
  try: 'trying',
  commit: 'trying',
  back: 'trying',
  remove: 'removing',
} as const;

function releaseStatuses(view: View, change: Change | undefined): AppReleaseStatus[] {
  const { verdicts } = plan(view);
  const wanted = new Map((view.desired ?? []).map((one: DesiredRelease) => [one.team, one.release]));
  const teams = new Set([
    ...wanted.keys(),
    ...view.teams.keys(),
    ...(change === undefined ? [] : [change.team]),
  ]);
  const running = new Map(liveReleases(view).map(([team, { release }]) => [team, release]));
  return [...teams].toSorted().flatMap((team) => {
    const of = (release: string, verdict: Omit<Verdict, 'state'>, state: AppReleaseStatus['state']) => ({
      team,
      release,
      running: running.get(team) ?? '',
      state,
      reason: verdict.reason,
      detail: plainSentence(verdict.detail),
      fetched: 0,
      toFetch: 0,
    });
    if (change?.team === team)
      return [of(change.to === '' ? change.from : change.to, change, busy[change.phase])];
    const verdict = verdicts.get(team);
    const release = wanted.get(team);
    if (release !== undefined && verdict !== undefined) return [of(release, verdict, verdict.state)];
    const current = view.teams.get(team)?.current ?? '';
    if (release === undefined && current === '') return [];
    const fault = faultOf(view, view.kept.get(`${team}/${current}`));
    // Nothing is known of what is wanted: what is there is what is meant.
    if (view.desired === undefined && current !== '')
      return [
        fault === undefined
          ? of(current, { reason: '', detail: '' }, 'running')
          : of(current, fault, 'waits'),
      ];
    // Its turn comes: it is all there, and whoever brings releases is not to bring it again.
    const next = release === undefined ? 'removing' : 'installing';
    return [of(release ?? current, { reason: '', detail: '' }, next)];
  });
}
