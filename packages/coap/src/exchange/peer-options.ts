// SPDX-License-Identifier: Apache-2.0
import type { BodyOpener, CoapRequest, RequestHandler } from '../peer.ts';
import type { Clock } from '../runtime/clock.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { systemRandom } from '../runtime/random.ts';
import { type CoapLimits, DEFAULT_LIMITS } from './limits.ts';
import type { UploadBudget } from './upload-budget.ts';

/** What every transport takes. */
export interface PeerOptions {
  /** Answers the peer's requests; without it each is answered 4.04. */
  handler?: RequestHandler;
  /** Takes request bodies that come in blocks as streams; without it each is put together, up to the limits. */
  openBody?: BodyOpener;
  limits?: Partial<CoapLimits>;
  /** What the unfinished uploads of all peers that are given it may hold together. Default: each peer's own limit only. */
  uploads?: UploadBudget;
  /** Milliseconds for an own request, and for the handler to answer one, unless told otherwise. */
  requestTimeoutMs?: number;
  /** Critical options that the handler understands beside the registered ones, such as 35, Proxy-Uri. */
  understoodOptions?: readonly number[];
  /**
   * Told when the handler throws (the peer gets 5.00 without the reason) or a notification's listener does.
   * Default: a warning of the process.
   */
  onHandlerError?: (error: unknown, request: CoapRequest) => void;
  clock?: Clock;
  random?: Random;
}

export interface PeerSettings {
  handler: RequestHandler | undefined;
  openBody: BodyOpener | undefined;
  limits: CoapLimits;
  uploads: UploadBudget | undefined;
  requestTimeoutMs: number;
  understoodOptions: ReadonlySet<number>;
  onHandlerError: (error: unknown, request: CoapRequest) => void;
  clock: Clock;
  random: Random;
}

export function peerSettings(options: PeerOptions, defaultTimeoutMs: number): PeerSettings {
  return {
    handler: options.handler,
    openBody: options.openBody,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    uploads: options.uploads,
    requestTimeoutMs: options.requestTimeoutMs ?? defaultTimeoutMs,
    understoodOptions: new Set(options.understoodOptions),
    onHandlerError: options.onHandlerError ?? warn,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  };
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
