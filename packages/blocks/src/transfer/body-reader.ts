// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Mirror } from '../devices.ts';

/** Waits so many milliseconds; rejects when the signal is aborted. Handed in, so that tests need no clock. */
export type Sleep = (milliseconds: number, signal: AbortSignal) => Promise<void>;

/**
 * A mirror that sends less than this, and less than all that was asked for, in `stall` milliseconds counts as gone: bytes that drip would keep a
 * transfer for ever. With a minute that is a kilobyte a second, less than the slowest link that anybody would update over.
 */
const least = 64 * 1024;

/** Reads the body of one answer, with a deadline for each `least` bytes, and not a byte past its range. */
export class BodyReader implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #sleep: Sleep;
  readonly #stall: number;
  #iterator: AsyncIterator<Uint8Array> | undefined;
  /** Bytes of the range that are still to come. */
  #left: number;
  #rest: Uint8Array = new Uint8Array();
  /** How the body ended early, once what came before is handed on. */
  #failure: Error | undefined;
  readonly #count: (bytes: number) => void;

  private constructor(size: number, count: (bytes: number) => void, sleep: Sleep, stall: number) {
    this.#left = size;
    this.#count = count;
    this.#sleep = sleep;
    this.#stall = stall;
  }

  /**
   * Sends the request; `count` is told of every byte that comes. Throws what the mirror throws, and `blocks/mirror-unreachable` when it
   * says nothing.
   */
  static async open(
    mirror: Mirror,
    request: { readonly file: string; readonly start: number; readonly end: number },
    count: (bytes: number) => void,
    timing: { readonly sleep: Sleep; readonly stall: number },
    signal: AbortSignal,
  ): Promise<BodyReader> {
    const { file, start, end } = request;
    const reader = new BodyReader(end - start, count, timing.sleep, timing.stall);
    try {
      const both = AbortSignal.any([signal, reader.#controller.signal]);
      const { body } = await reader.#within(mirror.get(file, start, end, both), signal);
      reader.#iterator = body[Symbol.asyncIterator]();
      return reader;
    } catch (error) {
      reader.close();
      throw error;
    }
  }

  /** The next bytes, `most` at most and one at least. Throws `blocks/mirror-unreachable` when the body ends early, breaks or stalls. */
  async read(most: number, signal: AbortSignal): Promise<Uint8Array> {
    if (this.#rest.length === 0) this.#rest = await this.#within(this.#gather(), signal);
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  /** Ends the connection when it has not ended by itself. */
  close(): void {
    this.#controller.abort();
    const ended = this.#iterator?.return?.();
    if (ended !== undefined) void Promise.resolve(ended).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #gather(): Promise<Uint8Array> {
    if (this.#failure !== undefined) throw this.#failure;
    const pieces: Uint8Array[] = [];
    for (let size = 0; size < Math.min(least, this.#left); ) {
      const next = await this.#next();
      if (next instanceof Error) {
        // What came before it broke is of use.
        if (pieces.length === 0) throw next;
        this.#failure = next;
        break;
      }
      this.#count(next.value.length);
      // What is longer than its range is not looked at.
      const piece = next.value.subarray(0, this.#left - size);
      pieces.push(piece);
      size += piece.length;
    }
    const bytes = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
    this.#left -= bytes.length;
    return bytes;
  }

  async #next(): Promise<IteratorYieldResult<Uint8Array> | Error> {
    try {
      const next = await this.#iterator?.next();
      return next === undefined || next.done === true ? unreachable('ended its answer early') : next;
    } catch (error) {
      return error instanceof Error ? error : unreachable('broke off', error);
    }
  }

  async #within<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    // Whoever loses the race must not end the process.
    work.catch(() => {});
    signal.throwIfAborted();
    const timer = new AbortController();
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const late = this.#sleep(this.#stall, timer.signal).then(() => {
      throw unreachable('sends too slowly');
    });
    for (const each of [late, aborted.promise]) each.catch(() => {});
    try {
      return await Promise.race([work, late, aborted.promise]);
    } finally {
      timer.abort();
      signal.removeEventListener('abort', abort);
    }
  }
}

export function unreachable(what: string, cause?: unknown): MblError {
  return new MblError('blocks/mirror-unreachable', `The mirror ${what}.`, {
    remedy: 'Check the network; the transfer goes on where it stopped.',
    cause,
  });
}
