// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Mirror, MirrorAnswer } from '../devices.ts';
import type { Sleep } from '../transfer/body-reader.ts';
import { unreachable } from '../transfer/body-reader.ts';
import { Steps } from './devices.ts';

/** What a mirror does wrong with one answer. */
export type Fault =
  | { readonly kind: 'refuse' | 'stall' | 'drip' | 'slow' | 'endless' }
  /** Breaks off after so many bytes. */
  | { readonly kind: 'break' | 'stall-after'; readonly after: number };

/** Files in memory, sent in pieces. */
export class MemoryMirror implements Mirror {
  readonly name: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
  steps = new Steps();
  /** Bytes that were sent. */
  sent = 0;
  readonly requests: { readonly file: string; readonly start: number; readonly end: number }[] = [];
  /** What to do with the request of that number; undefined: answer it. */
  fault: (request: number) => Fault | undefined = () => undefined;
  /** Waits of the caller, which end while an answer is stalled, or when so many pieces dripped meanwhile. */
  readonly #stalled = new Map<() => void, number>();
  #stalling = 0;

  constructor(name: string, files: ReadonlyMap<string, Uint8Array>) {
    this.name = name;
    this.files = files;
  }

  /** Waits that end at once, but for a deadline: that one ends when this mirror is silent. */
  sleep(stall: number): Sleep {
    return async (milliseconds, signal) => {
      if (milliseconds !== stall) return;
      await new Promise<void>((resolve, reject) => {
        if (this.#stalling > 0) resolve();
        else this.#stalled.set(resolve, 20);
        signal.addEventListener('abort', () => {
          this.#stalled.delete(resolve);
          reject(new Error('no longer waited for'));
        });
      });
    };
  }

  async get(file: string, start: number, end: number, signal: AbortSignal): Promise<MirrorAnswer> {
    this.steps.take();
    const fault = this.fault(this.requests.length);
    this.requests.push({ file, start, end });
    const bytes = this.files.get(file);
    if (bytes === undefined) throw new MblError('blocks/mirror-refused', `The mirror has no ${file}.`);
    if (fault?.kind === 'refuse') throw unreachable('is down');
    if (fault?.kind === 'stall') await this.#silence(signal);
    return { body: this.#body(bytes.subarray(start, end), fault, signal) };
  }

  async *#body(bytes: Uint8Array, fault: Fault | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const step = { drip: 1, slow: 200 }[fault?.kind as string] ?? 5000;
    for (let at = 0; at < bytes.length; at += step) {
      this.steps.take();
      const { after = Infinity } = fault !== undefined && 'after' in fault ? fault : {};
      const piece = bytes.subarray(at, Math.min(at + step, after));
      this.sent += piece.length;
      if (piece.length > 0) yield piece;
      if (at + step > after && fault?.kind === 'break') throw unreachable('broke off');
      if (at + step > after && fault?.kind === 'stall-after') await this.#silence(signal);
      if (fault?.kind === 'drip' || fault?.kind === 'slow') this.#age();
    }
    if (fault?.kind === 'endless') for (;;) yield Buffer.alloc(5000);
  }

  #age(): void {
    for (const [resolve, left] of this.#stalled) {
      this.#stalled.set(resolve, left - 1);
      if (left === 1) resolve();
    }
  }

  async #silence(signal: AbortSignal): Promise<void> {
    this.#stalling += 1;
    for (const resolve of this.#stalled.keys()) resolve();
    try {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
    } finally {
      this.#stalling -= 1;
    }
  }
}
