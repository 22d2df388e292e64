// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type AppAnswer, type AppAsk, parseAppAnswer } from '@mbl/formats';
import { mblAppsModel, type Node, type Observation, type Path } from '@mbl/lwm2m';
import { MblError } from '@mbl/trust';
import { HttpError } from '../../infra/http/errors.ts';
import type { DeviceSession, Reach } from '../connections/session.ts';
import type { DeviceRequests } from '../requests/device-requests.ts';
import { notConnected, RequestFailure, timedOut } from '../requests/failure.ts';

const { id: object, rows } = mblAppsModel;
const askPath: Path = [object, 0, rows.ask[0]];
const answersPath: Path = [object, 0, rows.answers[0]];

/** A device keeps its last 8 answers: so many at once, and none that is waited for is dropped for another. */
const mostAtOnce = 4;
/** Those that wait for their turn. */
const mostWaiting = 16;
/** The pauses between two looks at a device that does not tell by itself. */
const shortestMs = 250;
const longestMs = 4000;
/** Of one that should: a notification may get lost with a connection. */
const tellingMs = 10_000;

export interface AppAskParts {
  readonly requests: DeviceRequests;
  readonly reach: Reach;
}

export interface AskLimits {
  /** How long the answer may take, in milliseconds. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/** Has apps of devices do something once, and waits for what comes of it. */
export class AppAsks implements AsyncDisposable {
  readonly #parts: AppAskParts;
  readonly #boxes = new Map<string, AnswerBox>();
  readonly #stopped = new AbortController();

  constructor(parts: AppAskParts) {
    this.#parts = parts;
  }

  /**
   * Rejects with a `RequestFailure` where the device cannot be asked or does not answer in time, with the reason of `signal`, and throws
   * `too_many_requests` where many wait for the device already.
   */
  async ask(deviceId: string, what: Omit<AppAsk, 'id'>, { limitMs, signal }: AskLimits): Promise<AppAnswer> {
    const known = this.#boxes.get(deviceId);
    const box = known ?? new AnswerBox(() => this.#parts.reach(deviceId), this.#stopped.signal);
    this.#boxes.set(deviceId, box);
    const id = randomBytes(8).toString('hex');
    const until = AbortSignal.any([AbortSignal.timeout(limitMs), signal, this.#stopped.signal]);
    try {
      return await box.wait(id, until, () => this.#send(deviceId, { id, ...what }, until));
    } catch (error) {
      if (this.#stopped.signal.aborted) throw notConnected();
      if (signal.aborted) throw signal.reason;
      if (!until.aborted) throw error;
      throw this.#parts.reach(deviceId) === undefined ? notConnected() : timedOut();
    } finally {
      if (box.idle) this.#boxes.delete(deviceId);
    }
  }

  async #send(deviceId: string, ask: AppAsk, signal: AbortSignal): Promise<void> {
    let sent = false;
    const send = async (device: DeviceSession, limit: AbortSignal) => {
      sent = true;
      await device.write(askPath, JSON.stringify(ask), { signal: limit });
    };
    try {
      await this.#parts.requests.run(deviceId, send, { signal });
    } catch (error) {
      // The device may have taken it: to ask again would have it done twice. Its answer says.
      const lost = sent && error instanceof RequestFailure && error.transient;
      if (!lost) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(notConnected());
    await Promise.all([...this.#boxes.values()].map((box) => box.ended));
  }
}

/** The answers of one device, for all who wait for one: observed once, however many they are. */
class AnswerBox {
  readonly #reach: () => DeviceSession | undefined;
  readonly #stopped: AbortSignal;
  readonly #waiting = new Map<string, PromiseWithResolvers<AppAnswer>>();
  readonly #queue: (() => void)[] = [];
  #inside = 0;
  #work: Promise<void> | undefined;
  /** Ends the pause between two looks: somebody new waits. */
  #wake = new AbortController();

  constructor(reach: () => DeviceSession | undefined, stopped: AbortSignal) {
    this.#reach = reach;
    this.#stopped = stopped;
  }

  get idle(): boolean {
    return this.#inside === 0 && this.#queue.length === 0;
  }

  get ended(): Promise<void> {
    return this.#work ?? Promise.resolve();
  }

  /** Asks when it is its turn, and gives the answer with this id. */
  async wait(id: string, signal: AbortSignal, ask: () => Promise<void>): Promise<AppAnswer> {
    await this.#turn(signal);
    const answer = Promise.withResolvers<AppAnswer>();
    const called = () => answer.reject(signal.reason);
    signal.addEventListener('abort', called, { once: true });
    // Whoever asks in vain does not wait.
    answer.promise.catch(() => undefined);
    this.#waiting.set(id, answer);
    try {
      await ask();
      this.#wake.abort();
      this.#work ??= this.#collect();
      return await answer.promise;
    } finally {
      signal.removeEventListener('abort', called);
      this.#waiting.delete(id);
      this.#inside -= 1;
      this.#queue.shift()?.();
      if (this.#waiting.size === 0) this.#wake.abort();
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    if (this.#queue.length >= mostWaiting)
      throw new HttpError('too_many_requests', 'Too many wait for apps of this device');
    if (this.#inside >= mostAtOnce || this.#queue.length > 0) {
      const turn = Promise.withResolvers<void>();
      this.#queue.push(turn.resolve);
      const called = () => turn.reject(signal.reason);
      signal.addEventListener('abort', called, { once: true });
      try {
        await turn.promise;
      } catch (error) {
        const place = this.#queue.indexOf(turn.resolve);
        if (place >= 0) this.#queue.splice(place, 1);
        throw error;
      } finally {
        signal.removeEventListener('abort', called);
      }
    }
    this.#inside += 1;
  }

  /** While somebody waits: over the connection that the device has, and over the next one when it comes back. */
  async #collect(): Promise<void> {
    let observed: { readonly device: DeviceSession; readonly of: Observation } | undefined;
    let pauseMs = shortestMs;
    let known = 0;
    try {
      while (this.#waiting.size > 0 && !this.#stopped.aborted) {
        if (known !== this.#waiting.size) pauseMs = shortestMs;
        known = this.#waiting.size;
        const device = this.#reach();
        let tells = false;
        try {
          if (device !== undefined && observed?.device !== device) {
            await observed?.of.cancel().catch(() => undefined);
            observed = undefined;
            const of = await device.observe(
              answersPath,
              (answer) => {
                try {
                  this.#deliver(answer.nodes());
                } catch {
                  // Ended, or no answers: the next look says.
                  observed = undefined;
                }
              },
              { signal: this.#stopped },
            );
            observed = { device, of };
            this.#deliver(of.first.nodes());
          } else if (device !== undefined) {
            this.#deliver(await device.read(answersPath, { signal: this.#stopped }));
          }
          tells = observed?.of.accepted === true;
        } catch {
          // A device that goes away may come back, and one that says nonsense may come to itself, while somebody has patience.
        }
        if (this.#waiting.size === 0) break;
        this.#wake = new AbortController();
        const signal = AbortSignal.any([this.#wake.signal, this.#stopped]);
        const pause = tells && this.#reach() === device ? tellingMs : pauseMs;
        // A device that is away is looked for all the time: that asks nobody.
        await delay(device === undefined ? shortestMs : Math.min(pause, tellingMs), undefined, {
          signal,
          ref: false,
        }).catch(() => undefined);
        pauseMs = Math.min(longestMs, Math.ceil(pauseMs * 1.5));
      }
    } finally {
      await observed?.of.cancel().catch(() => undefined);
      this.#work = undefined;
    }
  }

  #deliver(nodes: readonly Node[]): void {
    for (const { value } of nodes) {
      const answer = typeof value === 'string' ? parsed(value) : undefined;
      if (answer !== undefined) this.#waiting.get(answer.id)?.resolve(answer);
    }
  }
}

function parsed(text: string): AppAnswer | undefined {
  try {
    return parseAppAnswer(text);
  } catch (error) {
    if (error instanceof MblError) return undefined;
    throw error;
  }
}
