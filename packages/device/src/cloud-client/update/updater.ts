// SPDX-License-Identifier: Apache-2.0
import type { UpdateReason } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { Log } from '../../common/log.ts';
import { reasonOf } from '../../common/update-reason.ts';
import { sleep } from '../../common/wait.ts';
import type { Platform } from '../../platform/contract.ts';
import type { MetadataFile, UpdateState } from '../../platform/update.ts';
import { Backoff } from '../backoff.ts';
import type { RestartDeferrals } from '../ipc/deferrals.ts';
import { Cached } from '../objects/cached.ts';
import { assertAccepted, type AttemptOptions, bringRelease, judgeRelease } from './attempt.ts';
import { longestUri, type UpdateMemory } from './memory.ts';
import type { Repository } from './repository.ts';

/** LwM2M Core 1.1 Appendix E.6, resource 3. */
export const updateStates = { idle: 0, downloading: 1, downloaded: 2, updating: 3 } as const;

/** Appendix E.6, resource 5: those that happen here. */
export const updateResults = {
  initial: 0,
  success: 1,
  connectionLost: 4,
  integrityCheckFailure: 5,
  invalidUri: 7,
  failed: 8,
  unsupportedProtocol: 9,
} as const;

export interface UpdateStatus {
  readonly state: keyof typeof updateStates;
  readonly result: keyof typeof updateResults;
  readonly uri: string;
  /** The release that is meant; '' where none is. */
  readonly release: string;
  /** What happened, or what it is doing, in one sentence; may be ''. */
  readonly detail: string;
  /** Why it waits or failed; '' while nothing is wrong. */
  readonly reason: UpdateReason | '';
  /** Bytes that came over the wire, and all that it takes; 0 where that is not known yet. */
  readonly fetched: number;
  readonly toFetch: number;
}

const nothing: UpdateStatus = {
  state: 'idle',
  result: 'initial',
  uri: '',
  release: '',
  detail: '',
  reason: '',
  fetched: 0,
  toFetch: 0,
};

export interface UpdaterTiming {
  /** Bounds of the pauses after a failure. */
  readonly retryFirst: number;
  readonly retryMax: number;
  /** So long without a byte, and the download is given up. */
  readonly patience: number;
  /** Between looks whether an app still asks to wait. */
  readonly deferralLook: number;
}

export const defaultUpdaterTiming: UpdaterTiming = {
  retryFirst: 1000,
  retryMax: 300_000,
  patience: 3_600_000,
  deferralLook: 1000,
};

export interface UpdaterOptions {
  readonly platform: Platform;
  readonly repository: Repository;
  readonly memory: UpdateMemory;
  /** Apps that ask for the restart to wait. */
  readonly deferrals: RestartDeferrals;
  readonly log: Log;
  readonly timing?: UpdaterTiming;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly changed: () => void;
}

const mostRestarts = 5;

/** Milliseconds: a slot that is to prove good first gets this long. */
const handPatience = 600_000;
const onBoard = /^http:\/\/127\.0\.0\.1:/;

/**
 * Brings a release to the idle slot, and asks the platform to start it. What the platform says decides: nothing is believed here that
 * comes from the network.
 */
export class Updater {
  readonly #options: UpdaterOptions;
  readonly #timing: UpdaterTiming;
  /** How the last update went, as the platform says. */
  readonly #outcome: Cached<UpdateState>;
  #status = nothing;
  #known = false;
  /** The platform is being told to start the release. */
  #ordering = false;
  /** Of the release that is there. */
  #metadata: readonly MetadataFile[] = [];
  /** Who ordered the release. */
  #by: 'service' | 'hand' = 'service';
  #download: { readonly stop: AbortController; readonly done: Promise<void> } | undefined;

  constructor(options: UpdaterOptions) {
    this.#options = options;
    this.#timing = options.timing ?? defaultUpdaterTiming;
    this.#outcome = new Cached(() => options.platform.getUpdate(), options);
  }

  get status(): UpdateStatus {
    return this.#status;
  }

  /** The status once the platform has said how the last update went; undefined before. */
  async known(): Promise<UpdateStatus | undefined> {
    await this.look();
    return this.#known ? this.#status : undefined;
  }

  /** Asks the platform how the last update went; goes on with what a restart of this process broke off. */
  async look(): Promise<void> {
    if (this.#isBusy()) return;
    const before = this.#status.state;
    const said = await this.#outcome.get();
    // What was asked before an order says nothing of it.
    if (said === undefined || this.#isBusy() || this.#status.state !== before) return;
    this.#known = true;
    const { state, release, reason, detail } = said;
    if (state === 'waits' || state === 'trying')
      this.#set({ state: 'updating', result: 'initial', release, reason: '', detail: '' });
    // A download that failed since says more than the update before it.
    else if (this.#status.state === 'updating' || this.#status.uri === '')
      if (state === 'confirmed') this.#set({ state: 'idle', result: 'success', release, reason, detail });
      else if (state === 'fell-back') this.#set({ state: 'idle', result: 'failed', release, reason, detail });
    const { uri } = this.#options.memory;
    if (this.#status.state !== 'idle' || this.#status.uri !== '' || uri === '') return;
    // It was started meanwhile, and that could not be noted.
    if (release !== '' && uri.endsWith(`#${encodeURIComponent(release)}`)) await this.#remember('');
    else await this.begin(uri);
  }

  async #remember(uri: string): Promise<void> {
    const { memory, log } = this.#options;
    await memory.keep({ uri: this.#by === 'hand' ? '' : uri }).catch((error: unknown) => {
      // It is lost with the next power cut, and can be ordered again.
      log.warning('update not noted', { reason: error instanceof Error ? error.message : String(error) });
    });
  }

  #isBusy(): boolean {
    return this.#ordering || this.#status.state === 'downloading' || this.#status.state === 'downloaded';
  }

  /**
   * Begins to bring the release that the URI names; '' ends what was begun. What the service ordered outlives a power cut once this resolved; what
   * somebody at the board ordered does not: where it comes from may be gone then. Throws at once `device/updating` when it is too late for
   * that, `device/long-uri`.
   */
  begin(uri: string, by: 'service' | 'hand' = 'service'): Promise<void> {
    if (uri.length > longestUri)
      throw new MblError('device/long-uri', `a Package URI has at most ${longestUri} characters`);
    if (this.#status.state === 'updating' || this.#ordering)
      throw new MblError('device/updating', 'an update is being started: wait for its end');
    this.#by = by;
    const before = this.#download;
    before?.stop.abort();
    if (uri === '') {
      this.#download = undefined;
      this.#set({ ...nothing, uri });
      return this.#remember(uri);
    }
    const stop = new AbortController();
    this.#set({ ...nothing, state: 'downloading', uri });
    const done = (async () => {
      // Two that write one slot would mix it.
      await before?.done;
      await this.#bring(uri, stop.signal);
    })();
    this.#download = { stop, done };
    return this.#remember(uri);
  }

  /**
   * Restarts the board into the release. Throws what the platform throws, and then the release is there as before (LwM2M Core 1.1 Appendix E.6: an Update
   * that failed leads back to Downloaded); `device/not-downloaded` before it is there.
   */
  async install(): Promise<void> {
    const { platform, log } = this.#options;
    if (this.#status.state !== 'downloaded')
      throw new MblError('device/not-downloaded', 'no release is there to be started');
    const { release } = this.#status;
    log.warning('update ordered', { by: this.#by, release });
    this.#ordering = true;
    this.#set({ state: 'updating', result: 'initial', reason: '', detail: '' });
    try {
      await this.#waitForApps();
      // The platform may have started anew, and forgotten; and terms may have ended since.
      await this.#confirm(release);
      // Before it starts: a version that does not prove good is not to be brought again by itself.
      await this.#remember('');
      await platform.startTrial();
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      log.error('update failed', { reason: detail });
      this.#set({ state: 'downloaded', result: 'failed', reason: reasonOf(error), detail });
      await this.#remember(this.#status.uri);
      throw error;
    } finally {
      this.#outcome.forget();
      this.#ordering = false;
    }
    await this.#restart();
  }

  /** Has the platform judge the release that is there once more. Throws as `assertAccepted` does. */
  async #confirm(release: string): Promise<void> {
    const { platform, repository } = this.#options;
    const check = (metadata: readonly MetadataFile[]) => platform.checkRelease({ release, metadata });
    const plan = await check(this.#metadata);
    if (plan.reason !== 'update/metadata-rolled-back') return assertAccepted(plan);
    // The board has seen newer metadata meanwhile, of a release of apps: the release is to be in that too.
    const { metadata } = await judgeRelease(repository.open(this.#status.uri), {
      check,
      budget: 0,
      metadataSpent: () => 0,
      moved: () => undefined,
      tell: () => undefined,
      signal: AbortSignal.timeout(this.#timing.patience),
    });
    this.#metadata = metadata;
  }

  /** An app may be in the middle of something: it gets as long as the owner lets it, all in all. Somebody at the board does not wait. */
  async #waitForApps(): Promise<void> {
    const { deferrals, memory, log } = this.#options;
    const since = performance.now();
    for (let told = ''; ; ) {
      const asks = this.#by === 'hand' ? undefined : deferrals.current();
      if (asks === undefined || performance.now() - since >= memory.longestDeferral * 1000) break;
      if (told !== asks.app) log.info('restart waits', { for: asks.app, reason: asks.reason });
      told = asks.app;
      this.#set({
        detail: `the app ${asks.app} asks to wait${asks.reason === '' ? '' : `: ${asks.reason}`}`,
      });
      await sleep(this.#timing.deferralLook, new AbortController().signal);
    }
    this.#set({ detail: '' });
  }

  /** Orders the restart until somebody hears it: the slot that is to start is chosen, and nothing else can be begun before. */
  async #restart(): Promise<void> {
    const { platform, log } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        await platform.reboot();
        return;
      } catch (error) {
        if (attempt === mostRestarts) throw error;
        log.warning('restart waits', { reason: error instanceof Error ? error.message : String(error) });
        await sleep(this.#timing.retryFirst * attempt, new AbortController().signal);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#download?.stop.abort();
    await this.#download?.done;
    await this.#options.memory.settled();
  }

  async #bring(uri: string, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    const backoff = new Backoff({ firstMs: this.#timing.retryFirst, random: Math.random });
    let moved = performance.now();
    // What comes a second time is no progress.
    let furthest = 0;
    let metadataBytes = 0;
    while (!signal.aborted) {
      try {
        await this.#tryOnce(uri, signal, {
          moved(progress) {
            if (progress <= furthest) return;
            furthest = progress;
            moved = performance.now();
            backoff.reset();
          },
          metadataSpent: (more) => (metadataBytes += more),
        });
        return;
      } catch (error) {
        if (signal.aborted) return;
        const reason = error instanceof Error ? error.message : String(error);
        const result =
          resultOf(error) ?? (performance.now() - moved > this.#patience() ? 'connectionLost' : undefined);
        if (result !== undefined) {
          log.error('update failed', { reason });
          this.#set({ state: 'idle', result, reason: reasonOf(error), detail: reason });
          await this.#remember('');
          return;
        }
        const retryMs = backoff.next(this.#timing.retryMax);
        log.warning('update waits', { reason, retryMs });
        this.#set({ reason: reasonOf(error), detail: reason });
        await sleep(retryMs, signal);
      }
    }
  }

  /** Somebody waits, beside what the release comes from: it does not come back after an hour. */
  #patience(): number {
    const { patience } = this.#timing;
    return this.#by === 'hand' ? Math.min(handPatience, patience) : patience;
  }

  async #tryOnce(
    uri: string,
    signal: AbortSignal,
    on: Pick<AttemptOptions, 'moved' | 'metadataSpent'>,
  ): Promise<void> {
    const { platform, repository, memory, log } = this.#options;
    const place = repository.open(uri);
    const { release } = place;
    const { metadata, liars } = await bringRelease(place, {
      check: (files) => platform.checkRelease({ release, metadata: files }),
      verify: () => platform.verifySlot(),
      log,
      // What is served on the board itself costs nothing.
      budget: this.#by === 'hand' && onBoard.test(uri) ? 0 : memory.budget,
      ...on,
      tell: (status) => this.#set(status),
      signal,
    });
    log.info('update ready', { release: this.#status.release, bytes: this.#status.fetched });
    this.#metadata = metadata;
    this.#set({ state: 'downloaded', reason: '', detail: liars });
  }

  #set(change: Partial<UpdateStatus>): void {
    const status = { ...this.#status, ...change };
    if (JSON.stringify(status) === JSON.stringify(this.#status)) return;
    this.#status = status;
    this.#options.changed();
  }
}

/** What no later attempt would change. */
const final: Readonly<Record<string, UpdateStatus['result']>> = {
  'device/bad-update-uri': 'invalidUri',
  'device/update-protocol': 'unsupportedProtocol',
  'device/update-refused': 'integrityCheckFailure',
  'device/metadata-endless': 'integrityCheckFailure',
  'blocks/wrong-mirrors': 'integrityCheckFailure',
  'blocks/bad-description': 'integrityCheckFailure',
  'blocks/too-small': 'failed',
  'blocks/disk-failed': 'failed',
  'blocks/disk-wrong': 'failed',
  'device/slot-closed': 'failed',
  'device/over-budget': 'failed',
};

function resultOf(error: unknown): UpdateStatus['result'] | undefined {
  return error instanceof MblError ? final[error.code] : undefined;
}
