// SPDX-License-Identifier: Apache-2.0
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
import type { ReleasePlace, Repository } from './repository.ts';
import { nothing, resultOf, type UpdateStatus } from './status.ts';

/** A package that a server writes, from its first block to its last. */
export interface Reception {
  /** Aborted when another order takes its place. */
  readonly signal: AbortSignal;
  /** Once nothing of the order before it is under way any more. */
  readonly ready: Promise<void>;
  /** Bytes that came, of how many; 0 where that is not known. */
  arrived(bytes: number, of: number): void;
  /** It comes to nothing. Of no effect once another order took its place. */
  fail(result: UpdateStatus['result'], cause: MblError): void;
  /** How it ended, in any case and once; undefined when nothing of it is left. It is disposed when it is no longer needed. */
  end(received: ReceivedPackage | undefined): void;
}

/** A package that is whole. */
export interface ReceivedPackage extends AsyncDisposable {
  /** Throws `device/bad-package`. */
  open(): Promise<ReleasePlace>;
}

/** What is brought. */
interface Order {
  readonly place: () => ReleasePlace | Promise<ReleasePlace>;
  /** It comes from the board itself. */
  readonly isFree: boolean;
  readonly tell: AttemptOptions['tell'];
}

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
  /** Something was ordered since this process started: its end says more than that of the update before. */
  #isOrdered = false;
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
    else if (this.#status.state === 'updating' || !this.#isOrdered)
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
    this.#assertFree();
    this.#by = by;
    this.#isOrdered = uri !== '';
    if (uri === '') {
      this.#download?.stop.abort();
      this.#set({ ...nothing, uri });
    } else {
      this.#follow(uri, async (signal) => {
        const place = () => this.#options.repository.open(uri);
        const isFree = by === 'hand' && onBoard.test(uri);
        await this.#bring({ place, isFree, tell: (status) => this.#set(status) }, signal);
      });
    }
    return this.#remember(uri);
  }

  /**
   * Takes a release as a package that a server writes (Appendix E.6, resource 0), in the place of what was ordered before. Throws `device/updating` as `begin` does.
   */
  receive(): Reception {
    this.#assertFree();
    this.#by = 'service';
    this.#isOrdered = true;
    const ended = Promise.withResolvers<ReceivedPackage | undefined>();
    const { signal, ready } = this.#follow('', async () => {
      await using received = await ended.promise;
      if (received === undefined) return;
      const order: Order = {
        place: async () => await received.open(),
        isFree: true,
        // The wire carried the package: that was told.
        tell: (status) => {
          const { fetched, toFetch } = this.#status;
          this.#set({ ...status, fetched, toFetch });
        },
      };
      await this.#bring(order, signal);
    });
    void this.#remember('');
    return {
      signal,
      ready,
      arrived: (bytes, of) => {
        if (!signal.aborted) this.#set({ fetched: bytes, toFetch: of });
      },
      fail: (result, cause) => {
        if (!signal.aborted)
          this.#set({ state: 'idle', result, reason: reasonOf(cause), detail: cause.message });
      },
      end: ended.resolve,
    };
  }

  /** Goes on with an order, in the place of the one before. */
  #follow(uri: string, act: (signal: AbortSignal) => Promise<void>) {
    const before = this.#download;
    before?.stop.abort();
    const stop = new AbortController();
    const { signal } = stop;
    this.#set({ ...nothing, state: 'downloading', uri });
    // Two that write one slot would mix it.
    const ready = before?.done ?? Promise.resolve();
    const done = ready.then(async () => await act(signal));
    this.#download = { stop, done };
    return { signal, ready };
  }

  #assertFree(): void {
    if (this.#status.state === 'updating' || this.#ordering)
      throw new MblError('device/updating', 'an update is being started: wait for its end');
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
    // A package is gone, and has no newer metadata.
    if (plan.reason !== 'update/metadata-rolled-back' || this.#status.uri === '') return assertAccepted(plan);
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

  async #bring(order: Order, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    const backoff = new Backoff({ firstMs: this.#timing.retryFirst, random: Math.random });
    let moved = performance.now();
    // What comes a second time is no progress.
    let furthest = 0;
    let metadataBytes = 0;
    while (!signal.aborted) {
      try {
        await this.#tryOnce(order, signal, {
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
    order: Order,
    signal: AbortSignal,
    on: Pick<AttemptOptions, 'moved' | 'metadataSpent'>,
  ): Promise<void> {
    const { platform, memory, log } = this.#options;
    const place = await order.place();
    const { release } = place;
    const { metadata, liars } = await bringRelease(place, {
      check: (files) => platform.checkRelease({ release, metadata: files }),
      verify: () => platform.verifySlot(),
      log,
      budget: order.isFree ? 0 : memory.budget,
      ...on,
      // What an order says that another one has replaced is no news of that.
      tell: (status) => {
        if (!signal.aborted) order.tell(status);
      },
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
