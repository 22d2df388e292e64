// SPDX-License-Identifier: Apache-2.0
import type { UpdateReason } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { Log } from '../../common/log.ts';
import { reasonOf } from '../../common/update-reason.ts';
import { sleep } from '../../common/wait.ts';
import type { Platform } from '../../platform/contract.ts';
import type { InstallPlan, MetadataFile, UpdateState } from '../../platform/update.ts';
import { Backoff } from '../backoff.ts';
import { Cached } from '../objects/cached.ts';
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
}

export const defaultUpdaterTiming: UpdaterTiming = {
  retryFirst: 1000,
  retryMax: 300_000,
  patience: 3_600_000,
};

export interface UpdaterOptions {
  readonly platform: Platform;
  readonly repository: Repository;
  readonly log: Log;
  readonly timing?: UpdaterTiming;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly changed: () => void;
}

const mostRestarts = 5;

/** A release may rotate its root key that often since the device was made: each step is a file. */
const mostMetadataFiles = 256;

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

  /** Asks the platform how the last update went. */
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
  }

  #isBusy(): boolean {
    return this.#ordering || this.#status.state === 'downloading' || this.#status.state === 'downloaded';
  }

  /** Begins to bring the release that the URI names; '' ends what was begun. Throws `device/updating` when it is too late for that. */
  begin(uri: string): void {
    if (this.#status.state === 'updating' || this.#ordering)
      throw new MblError('device/updating', 'an update is being started: wait for its end');
    const before = this.#download;
    before?.stop.abort();
    if (uri === '') {
      this.#download = undefined;
      this.#set({ ...nothing, uri });
      return;
    }
    const stop = new AbortController();
    this.#set({ ...nothing, state: 'downloading', uri });
    const done = (async () => {
      // Two that write one slot would mix it.
      await before?.done;
      await this.#bring(uri, stop.signal);
    })();
    this.#download = { stop, done };
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
    log.warning('update ordered', { by: 'service', release });
    this.#ordering = true;
    this.#set({ state: 'updating', result: 'initial', reason: '', detail: '' });
    try {
      // The platform may have started anew, and forgotten; and terms may have ended since.
      assertAccepted(await platform.checkRelease({ release, metadata: this.#metadata }));
      await platform.startTrial();
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      log.error('update failed', { reason: detail });
      this.#set({ state: 'downloaded', result: 'failed', reason: reasonOf(error), detail });
      throw error;
    } finally {
      this.#outcome.forget();
      this.#ordering = false;
    }
    await this.#restart();
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
  }

  async #bring(uri: string, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    const backoff = new Backoff({ firstMs: this.#timing.retryFirst, random: Math.random });
    let moved = performance.now();
    // What comes a second time is no progress.
    let furthest = 0;
    while (!signal.aborted) {
      try {
        await this.#tryOnce(uri, signal, (bytes) => {
          if (bytes <= furthest) return;
          furthest = bytes;
          moved = performance.now();
          backoff.reset();
        });
        return;
      } catch (error) {
        if (signal.aborted) return;
        const reason = error instanceof Error ? error.message : String(error);
        const final =
          resultOf(error) ??
          (performance.now() - moved > this.#timing.patience ? 'connectionLost' : undefined);
        if (final !== undefined) {
          log.error('update failed', { reason });
          this.#set({ state: 'idle', result: final, reason: reasonOf(error), detail: reason });
          return;
        }
        const retryMs = backoff.next(this.#timing.retryMax);
        log.warning('update waits', { reason, retryMs });
        this.#set({ reason: reasonOf(error), detail: reason });
        await sleep(retryMs, signal);
      }
    }
  }

  /** `moved` is told the bytes that have come so far. */
  async #tryOnce(uri: string, signal: AbortSignal, moved: (bytes: number) => void): Promise<void> {
    const { platform, repository, log } = this.#options;
    const place = repository.open(uri);
    const metadata: MetadataFile[] = [];
    let before = 0;
    let brought = 0;
    for (;;) {
      const plan = await platform.checkRelease({ release: place.release, metadata });
      assertAccepted(plan);
      if (plan.missing === '') {
        const toFetch = plan.components.reduce((sum, { size }) => sum + size, 0);
        this.#set({ release: plan.name, reason: '', detail: '', toFetch });
        for (const component of plan.components) {
          log.info('update transfers', {
            release: plan.name,
            component: component.name,
            bytes: component.size,
          });
          await place.bring(component, signal, (bytes) => {
            moved(before + bytes);
            const percent = Math.floor((100 * bytes) / component.size);
            this.#set({ detail: `${component.name}: ${percent}%`, fetched: brought + bytes });
          });
          before += component.size;
          brought += component.size;
        }
        signal.throwIfAborted();
        const fault = await platform.verifySlot();
        if (fault !== '') throw refused('update/slot-mismatch', fault);
        signal.throwIfAborted();
        log.info('update ready', { release: plan.name });
        this.#metadata = metadata;
        this.#set({ state: 'downloaded', reason: '', detail: '' });
        return;
      }
      if (metadata.length === mostMetadataFiles)
        throw new MblError('device/metadata-endless', 'the metadata of the release has no end');
      const content = await place.metadata(plan.missing, signal);
      metadata.push({ name: plan.missing, content });
      before += content.length;
      moved(before);
    }
  }

  #set(change: Partial<UpdateStatus>): void {
    const status = { ...this.#status, ...change };
    if (JSON.stringify(status) === JSON.stringify(this.#status)) return;
    this.#status = status;
    this.#options.changed();
  }
}

/** Throws for a release that the board does not take: `device/not-proved` where it may take it later, else `device/update-refused`. */
function assertAccepted({ refused: why, reason }: InstallPlan): void {
  if (why === '') return;
  if (reason === 'update/not-proved') throw new MblError('device/not-proved', why);
  throw refused(reason === '' ? 'update/failed' : reason, why);
}

function refused(reason: UpdateReason, why: string): MblError {
  return new MblError('device/update-refused', why, { details: { reason } });
}

/** What no later attempt would change. */
function resultOf(error: unknown): UpdateStatus['result'] | undefined {
  const code = error instanceof MblError ? error.code : '';
  if (code === 'device/bad-update-uri') return 'invalidUri';
  if (code === 'device/update-protocol') return 'unsupportedProtocol';
  if (code === 'device/update-refused') return 'integrityCheckFailure';
  return code === 'device/metadata-endless' ? 'integrityCheckFailure' : undefined;
}
