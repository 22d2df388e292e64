// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Mirror } from '../devices.ts';
import { BodyReader, type Sleep } from './body-reader.ts';
import type { Meter } from './meter.ts';
import type { Range } from './plan.ts';

export interface Timing {
  readonly sleep: Sleep;
  /** Milliseconds in which a mirror has to send 64 KiB, or all that was asked for. */
  readonly stall: number;
  /** How often all mirrors are tried in turn before a transfer gives up. */
  readonly rounds: number;
}

/** Milliseconds before the second, third, … round. */
const pause = (round: number): number => Math.min(1000 * 2 ** round, 60_000);

/** Reads ranges of files from mirrors: from the one that answered last, from the next where it fails. Counts each byte. */
export class Fetcher {
  readonly mirrors: readonly Mirror[];
  readonly #meter: Meter;
  readonly #timing: Timing;
  readonly #signal: AbortSignal;
  #current = 0;

  constructor(mirrors: readonly Mirror[], meter: Meter, timing: Timing, signal: AbortSignal) {
    this.mirrors = mirrors;
    this.#meter = meter;
    this.#timing = timing;
    this.#signal = signal;
  }

  /** Number of the mirror that answers at present. */
  get current(): number {
    return this.#current;
  }

  /** All of a range that the plan does not have, in memory. `only`: from that mirror. Throws `blocks/no-mirror`, `blocks/over-budget`. */
  async whole(file: string, { start, end }: Range, only?: number): Promise<Buffer> {
    await using stream = new RangeStream(this, file, [], only);
    return await stream.read(start, end);
  }

  /** Opens a range, at the first mirror that answers. */
  async open(
    file: string,
    { start, end }: Range,
    planned: boolean,
    only: number | undefined,
    tries: Tries,
  ): Promise<BodyReader> {
    for (;;) {
      this.#signal.throwIfAborted();
      const number = only ?? this.#current;
      const mirror = this.mirrors[number];
      if (mirror === undefined) throw noMirror(file, []);
      await this.#meter.admit(end - start, planned);
      try {
        const count = (bytes: number): void => this.#meter.count(bytes, planned);
        return await BodyReader.open(mirror, { file, start, end }, count, this.#timing, this.#signal);
      } catch (error) {
        await this.failed(file, error, only, tries);
      }
    }
  }

  /** Notes that the mirror of the moment failed, and goes on to the next; waits after each round. Throws when there was enough of that. */
  async failed(file: string, error: unknown, only: number | undefined, tries: Tries): Promise<void> {
    this.#signal.throwIfAborted();
    if (!(error instanceof MblError)) throw error;
    const count = only === undefined ? this.mirrors.length : 1;
    tries.errors.push(error);
    if (only === undefined) this.#current = (this.#current + 1) % count;
    if (tries.errors.length % count !== 0) return;
    const round = tries.errors.length / count;
    const hopeless = tries.errors.slice(-count).every(({ code }) => code !== 'blocks/mirror-unreachable');
    if (hopeless || round >= this.#timing.rounds) throw noMirror(file, tries.errors.slice(-count));
    await this.#timing.sleep(pause(round - 1), this.#signal).catch((cause: unknown) => {
      this.#signal.throwIfAborted();
      throw cause;
    });
  }

  get signal(): AbortSignal {
    return this.#signal;
  }
}

/** What failed since the last byte came. */
interface Tries {
  readonly errors: MblError[];
}

/** Reads one file from its start to its end, in the ranges of a plan; a range is one request, however many reads it serves. */
export class RangeStream implements AsyncDisposable {
  readonly #fetcher: Fetcher;
  readonly #file: string;
  readonly #ranges: readonly Range[];
  readonly #only: number | undefined;
  #range = 0;
  #body: BodyReader | undefined;
  #position = 0;
  #end = 0;
  #tries: Tries = { errors: [] };

  /** `only`: from that mirror, by its number. */
  constructor(fetcher: Fetcher, file: string, ranges: readonly Range[], only?: number) {
    this.#fetcher = fetcher;
    this.#file = file;
    this.#ranges = ranges;
    this.#only = only;
  }

  /** Bytes `start` to `end`. Reads go on in the file; what lies between is skipped. A broken range is asked for again from where it broke. */
  async read(start: number, end: number): Promise<Buffer> {
    const { signal } = this.#fetcher;
    const bytes = Buffer.alloc(end - start);
    /** Where this read goes on when its request breaks. */
    let next = start;
    for (;;) {
      while ((this.#ranges[this.#range]?.end ?? Infinity) <= start) this.#range += 1;
      const range = this.#ranges[this.#range];
      const planned = range !== undefined && range.start <= start && end <= range.end;
      if (this.#body === undefined || this.#position > next || end > this.#end) {
        this.close();
        this.#end = planned ? range.end : end;
        this.#position = next;
        const rest = { start: next, end: this.#end };
        this.#body = await this.#fetcher.open(this.#file, rest, planned, this.#only, this.#tries);
      }
      try {
        while (this.#position < end) {
          const most = this.#position < start ? start - this.#position : end - this.#position;
          const piece = await this.#body.read(most, signal);
          if (this.#position >= start) bytes.set(piece, this.#position - start);
          this.#position += piece.length;
          this.#tries = { errors: [] };
        }
        if (this.#position === this.#end) this.close();
        return bytes;
      } catch (error) {
        this.close();
        next = Math.max(next, this.#position);
        await this.#fetcher.failed(this.#file, error, this.#only, this.#tries);
      }
    }
  }

  close(): void {
    this.#body?.close();
    this.#body = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

function noMirror(file: string, errors: readonly MblError[]): MblError {
  const said = errors.map(({ message }) => message).join(' ');
  return new MblError('blocks/no-mirror', `No mirror gave ${file}. ${said}`.trim(), {
    remedy: 'Check the network and the names of the mirrors; the transfer goes on where it stopped.',
    cause: errors.at(-1),
  });
}
