// SPDX-License-Identifier: Apache-2.0
import {
  type AppReleaseStatus,
  type DesiredApps,
  type DesiredRelease,
  formatDesiredApps,
} from '@mbl/formats';
import type { Log } from '../../common/log.ts';
import { appReasonOf } from '../../common/update-reason.ts';
import { sleep } from '../../common/wait.ts';
import { type AppsStatus, parseApps } from '../../platform/app-status.ts';
import type { Platform } from '../../platform/contract.ts';
import { Backoff } from '../backoff.ts';
import { Cached } from '../objects/cached.ts';
import { bringRelease } from '../update/attempt.ts';
import type { UpdateMemory } from '../update/memory.ts';
import type { Repository } from '../update/repository.ts';
import type { AppMemory } from './memory.ts';
import { nextFor, outlookOf } from './plan.ts';

/** Milliseconds. */
export interface AppUpdaterTiming {
  /** Bounds of the pauses after a failure that may pass by itself, and the pause after one for which somebody has to do something. */
  readonly retryFirst: number;
  readonly retryMax: number;
  readonly later: number;
  /** Between looks at the app manager while it is at something. */
  readonly look: number;
  /** Between looks at apps that are there: a restart is seen by then. */
  readonly rest: number;
  /** So long without a word about what was handed on, and it is handed on again. */
  readonly patience: number;
}

export const defaultAppTiming: AppUpdaterTiming = {
  retryFirst: 1000,
  retryMax: 300_000,
  later: 3_600_000,
  look: 2000,
  rest: 20_000,
  patience: 600_000,
};

export interface AppUpdaterOptions {
  readonly platform: Pick<Platform, 'setDesiredApps' | 'getApps' | 'checkAppRelease' | 'installAppRelease'>;
  readonly repository: Repository;
  readonly memory: AppMemory;
  /** Has the budget, which each release may spend: one of apps as well as one of the operating system. */
  readonly updates: Pick<UpdateMemory, 'budget'>;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly timing?: AppUpdaterTiming;
}

/** How far this process is with the release of a team. */
interface Work {
  readonly release: string;
  readonly repository: string;
  readonly backoff: Backoff;
  /** Of `performance.now()`: not before. */
  due: number;
  metadataBytes: number;
  /** What comes a second time is no progress. */
  furthest: number;
  /** What is known here and not yet by the app manager. */
  status?: Pick<AppReleaseStatus, 'state' | 'reason' | 'detail' | 'fetched' | 'toFetch'>;
  /** It was handed on then, when the app manager said that of the team. */
  handedOn?: { readonly at: number; readonly before: string };
  /** The budget that did not suffice. */
  budget?: number;
}

const nothingYet = { state: 'waits', reason: '', detail: '', fetched: 0, toFetch: 0 } as const;

/**
 * Brings the releases of apps that the device is to have, one team's after the other's, and hands them on. What the platform says decides: nothing is
 * believed here that comes from the network. An update of the operating system goes on beside it.
 */
export class AppUpdater {
  readonly #options: AppUpdaterOptions;
  readonly #timing: AppUpdaterTiming;
  readonly #works = new Map<string, Work>();
  readonly #heard: Cached<string>;
  #said: AppsStatus = { releases: [], apps: [] };
  #begun = false;
  /** The platform knows what is desired. */
  #told = false;
  /** Until then of `performance.now()` the app manager has the first word; undefined before the first look. */
  #listensUntil: number | undefined;
  #wake = new AbortController();
  #bringing: { readonly team: string; readonly stop: AbortController } | undefined;
  /** Called when `releases` or `apps` say something else. */
  changed: () => void = () => undefined;

  constructor(options: AppUpdaterOptions) {
    this.#options = options;
    this.#timing = options.timing ?? defaultAppTiming;
    this.#heard = new Cached(() => options.platform.getApps(), options);
    // Only what was wanted before this process began is known to the app manager already.
    if (this.desired.releases.length === 0) this.#listensUntil = 0;
  }

  get desired(): DesiredApps {
    return this.#options.memory.desired ?? { version: 1, releases: [] };
  }

  /** It is kept over a power cut once this resolved. Throws what writing throws. */
  async desire(desired: DesiredApps): Promise<void> {
    await this.#options.memory.keep(desired);
    this.#told = false;
    const bringing = this.#bringing;
    if (bringing !== undefined && !isSame(this.#works.get(bringing.team), findTeam(desired, bringing.team)))
      bringing.stop.abort();
    this.look();
  }

  /** Asks the app manager soon; begins with it the first time. */
  look(): void {
    this.#begun = true;
    this.#wake.abort();
  }

  /** How the apps do, as the platform said last. */
  get apps(): AppsStatus['apps'] {
    return this.#said.apps;
  }

  /** How the release of each team stands. */
  get releases(): AppReleaseStatus[] {
    const { releases } = this.desired;
    const said = new Map(this.#said.releases.map((one) => [one.team, one]));
    const wanted = releases.map(({ team, release }): AppReleaseStatus => {
      const [known, work] = [said.get(team), this.#works.get(team)];
      const running = known?.running ?? '';
      const own = work?.release === release ? work.status : undefined;
      if (own !== undefined) return { team, release, running, ...own };
      return known?.release === release ? known : { team, release, running, ...nothingYet };
    });
    const others = this.#said.releases.filter(({ team }) => !releases.some((one) => one.team === team));
    return [...wanted, ...others];
  }

  /** Until the signal is aborted. Nothing is asked before the first `look`, and nothing while nobody has said what the device is to have. */
  async run(signal: AbortSignal): Promise<void> {
    const { retryFirst, retryMax } = this.#timing;
    const backoff = new Backoff({ firstMs: retryFirst, random: Math.random });
    while (!signal.aborted) {
      this.#wake = new AbortController();
      let pause = Infinity;
      try {
        if (this.#begun) pause = await this.#round(signal);
        backoff.reset();
      } catch (error) {
        pause = backoff.next(retryMax);
        this.#options.log.warning('apps wait', { reason: sentenceOf(error), retryMs: pause });
      }
      await sleep(Math.min(pause, longestSleep), AbortSignal.any([signal, this.#wake.signal]));
    }
  }

  /** One look and at most one release brought; how long there is nothing to do. */
  async #round(signal: AbortSignal): Promise<number> {
    const { platform, memory } = this.#options;
    const { desired } = memory;
    if (desired !== undefined && !this.#told) {
      await platform.setDesiredApps({ desired: formatDesiredApps(desired) });
      this.#told = memory.desired === desired;
    }
    this.#hear(parseApps(await platform.getApps()));
    if (this.#listens()) return this.#timing.look;
    let pause = Infinity;
    for (const [team] of this.#works) if (findTeam(this.desired, team) === undefined) this.#forget(team);
    for (const wanted of desired?.releases ?? []) {
      const work = this.#workFor(wanted);
      const next = this.#next(work, wanted);
      if (next === 'look') pause = Math.min(pause, this.#timing.look);
      if (next !== 'bring') continue;
      const left = work.due - performance.now();
      if (left > 0) pause = Math.min(pause, left);
      else {
        await this.#bring(wanted, work, signal);
        return 0;
      }
    }
    const { look, rest } = this.#timing;
    if (this.#said.releases.some(({ state }) => state === 'removing')) return Math.min(pause, look);
    return this.#said.apps.length > 0 ? Math.min(pause, rest) : pause;
  }

  /**
   * True while the app manager has said nothing since the device started: it judges all that is there first. Whoever brought that again meanwhile would order
   * anew what fell back.
   */
  #listens(): boolean {
    const now = performance.now();
    this.#listensUntil ??= now + this.#timing.patience;
    if (this.#said.releases.length > 0) this.#listensUntil = 0;
    return now < this.#listensUntil;
  }

  #saidOf(team: string): string {
    return JSON.stringify(this.#said.releases.find((one) => one.team === team) ?? '');
  }

  /** Asks the platform how the apps do; false where it does not say. */
  async hear(): Promise<boolean> {
    const text = await this.#heard.get();
    if (text === undefined) return false;
    this.#hear(parseApps(text));
    return true;
  }

  #hear(said: AppsStatus): void {
    const before = JSON.stringify(withoutMemory(this.#said));
    this.#said = said;
    if (JSON.stringify(withoutMemory(said)) !== before) this.changed();
  }

  #workFor(wanted: DesiredRelease): Work {
    const known = this.#works.get(wanted.team);
    if (known !== undefined && isSame(known, wanted)) return known;
    const work: Work = {
      release: wanted.release,
      repository: wanted.repository ?? '',
      backoff: new Backoff({ firstMs: this.#timing.retryFirst, random: Math.random }),
      due: 0,
      metadataBytes: 0,
      furthest: 0,
    };
    this.#works.set(wanted.team, work);
    return work;
  }

  #next(work: Work, { team, release }: DesiredRelease): ReturnType<typeof nextFor> {
    const said = this.#said.releases.find((one) => one.team === team);
    const { handedOn } = work;
    // The app manager may have looked before it was there, and say only now that it is not.
    const unheard = said?.release === release && said.state === 'waits' && said.reason === '';
    if (handedOn !== undefined && (unheard || handedOn.before === this.#saidOf(team))) {
      if (performance.now() - handedOn.at < this.#timing.patience) return 'look';
      delete work.handedOn;
      this.#set(work, { state: 'waits', reason: 'app/failed', detail: 'the app manager says nothing of it' });
    } else if (handedOn !== undefined) delete work.handedOn;
    if (work.budget !== undefined && work.budget !== this.#options.updates.budget) {
      delete work.budget;
      work.due = 0;
    }
    const next = nextFor(release, said);
    if (next !== 'bring') this.#clear(work);
    return next === 'bring' && work.due === Infinity ? 'rest' : next;
  }

  async #bring(wanted: DesiredRelease, work: Work, signal: AbortSignal): Promise<void> {
    const { log, updates } = this.#options;
    const { team, release } = wanted;
    const stop = new AbortController();
    this.#bringing = { team, stop };
    const { budget } = updates;
    try {
      await this.#tryOnce(wanted, work, AbortSignal.any([signal, stop.signal]));
      work.handedOn = { at: performance.now(), before: this.#saidOf(team) };
      work.due = 0;
      work.backoff.reset();
      this.#set(work, { state: 'installing', reason: '', detail: '' });
    } catch (error) {
      if (signal.aborted || stop.signal.aborted) return;
      const reason = appReasonOf(error);
      const detail = sentenceOf(error);
      const outlook = outlookOf(reason);
      if (reason === 'update/over-budget') work.budget = budget;
      const { retryMax, later } = this.#timing;
      const pause = {
        refused: Infinity,
        // The bytes that do not suffice would be spent again.
        later: reason === 'update/over-budget' ? Infinity : later,
        soon: work.backoff.next(retryMax),
      }[outlook];
      work.due = performance.now() + pause;
      const state = outlook === 'refused' ? 'refused' : 'waits';
      log.warning(`apps ${state === 'refused' ? 'refused' : 'wait'}`, { team, release, reason: detail });
      this.#set(work, { state, reason, detail });
    } finally {
      this.#bringing = undefined;
    }
  }

  async #tryOnce(wanted: DesiredRelease, work: Work, signal: AbortSignal): Promise<void> {
    const { platform, repository, updates, log } = this.#options;
    const { team, release } = wanted;
    this.#set(work, { state: 'fetching', reason: '', detail: '', fetched: 0, toFetch: 0 });
    const place = repository.open(`${work.repository}#${encodeURIComponent(release)}`, team);
    await bringRelease(place, {
      check: (metadata) => platform.checkAppRelease({ team, release, metadata }),
      // Read whole when it is handed on.
      verify: () => Promise.resolve(''),
      tree: false,
      log,
      budget: updates.budget,
      metadataSpent: (more) => (work.metadataBytes += more),
      tell: ({ detail = work.status?.detail ?? '', fetched, toFetch }) =>
        this.#set(work, {
          detail,
          ...(fetched === undefined ? {} : { fetched }),
          ...(toFetch === undefined ? {} : { toFetch }),
        }),
      moved(progress) {
        if (progress > work.furthest) work.backoff.reset();
        work.furthest = Math.max(work.furthest, progress);
      },
      signal,
    });
    await platform.installAppRelease({ team, release });
    log.info('apps handed on', { team, release, bytes: work.status?.fetched ?? 0 });
    await place.forget();
  }

  #forget(team: string): void {
    this.#works.delete(team);
    void this.#options.repository
      .open('#none', team)
      .forget()
      .catch(() => undefined);
  }

  #set(work: Work, change: Partial<NonNullable<Work['status']>>): void {
    const status = { ...nothingYet, ...work.status, ...change };
    if (JSON.stringify(status) === JSON.stringify(work.status)) return;
    work.status = status;
    this.changed();
  }

  #clear(work: Work): void {
    if (work.status === undefined) return;
    delete work.status;
    this.changed();
  }
}

/** What a timer can wait: 2^31 milliseconds. */
const longestSleep = 2 ** 31 - 1;

function findTeam({ releases }: DesiredApps, team: string): DesiredRelease | undefined {
  return releases.find((one) => one.team === team);
}

function isSame(work: Work | undefined, wanted: DesiredRelease | undefined): boolean {
  return work?.release === wanted?.release && work?.repository === (wanted?.repository ?? '');
}

/** Who observes how apps do is not told of each page of memory. */
function withoutMemory({ releases, apps }: AppsStatus): object {
  return { releases, apps: apps.map(({ memory: _changes, ...rest }) => rest) };
}

function sentenceOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 500);
}
