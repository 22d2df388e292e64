// SPDX-License-Identifier: Apache-2.0
import { formatDuration } from './table.ts';

export interface ProgressOptions {
  sink: { write(text: string): unknown };
  /** A terminal whose current line may be redrawn. */
  live: boolean;
  columns: () => number;
  style: (style: 'bold' | 'dim' | 'green' | 'red', text: string) => string;
  now?: () => number;
}

/** A phase's own view of the progress: called as often as it likes, drawn at most ten times a second. */
export type Report = (fraction: number | undefined, what?: string) => void;

const redrawEvery = 100;
/** Without a terminal, a phase says that it still runs this often. */
const sayEvery = 20_000;
const barWidth = 20;

/** Phases, one after another: a live line while one runs, a line that stays with its time when it ends. */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #now: () => number;
  #redraw: (() => void) | undefined;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * Runs a phase. A phase that turns out to have nothing to do returns `{ quiet: true }` and leaves no line; one with something to
   * add returns `{ note }`. A failure leaves a line too, unless `quietFailure`.
   */
  async phase<T>(
    title: string,
    work: (report: Report) => Promise<T>,
    outcome: (result: T) => { quiet?: boolean; note?: string } = () => ({}),
    quietFailure = false,
  ): Promise<T> {
    const { sink, live, style } = this.#options;
    const start = this.#now();
    let fraction: number | undefined;
    let what = '';
    const draw = () => {
      const time = formatDuration(this.#now() - start);
      if (!live) {
        const percent = fraction === undefined ? '' : ` ${Math.floor(fraction * 100)}%`;
        sink.write(`… ${title}${percent}, ${time}${what && `: ${what}`}\n`);
        return;
      }
      const text = `${title}  ${bar(fraction, this.#now() - start)}  ${time}  `;
      const room = this.#options.columns() - text.length - 3;
      sink.write(`\r\u001b[K${style('bold', '…')} ${text}${style('dim', what.slice(0, Math.max(0, room)))}`);
    };
    const timer = setInterval(draw, live ? redrawEvery : sayEvery);
    timer.unref();
    this.#redraw = live ? draw : undefined;
    const end = (mark: string, note?: string) => {
      const suffix = note === undefined ? '' : `  ${style('dim', note)}`;
      sink.write(`${mark} ${title}  ${style('dim', formatDuration(this.#now() - start))}${suffix}\n`);
    };
    try {
      const result = await work((f, w) => {
        fraction = f === undefined ? undefined : Math.min(1, Math.max(0, f));
        if (w !== undefined) what = w;
      });
      this.#clear();
      const { quiet, note } = outcome(result);
      if (quiet !== true) end(style('green', '✔'), note);
      return result;
    } catch (error) {
      this.#clear();
      if (!quietFailure) end(style('red', '✘'));
      throw error;
    } finally {
      clearInterval(timer);
      this.#redraw = undefined;
    }
  }

  /** Runs something whose end says enough: a live line while it runs, nothing afterwards. */
  async wait<T>(title: string, work: (report: Report) => Promise<T>): Promise<T> {
    return await this.phase(title, work, () => ({ quiet: true }), true);
  }

  /** Lets something else be printed while a phase runs. */
  interrupt(print: () => void): void {
    this.#clear();
    print();
    this.#redraw?.();
  }

  #clear(): void {
    if (this.#redraw !== undefined) this.#options.sink.write('\r\u001b[K');
  }
}

function bar(fraction: number | undefined, elapsed: number): string {
  if (fraction === undefined) {
    const at = Math.floor(elapsed / redrawEvery) % barWidth;
    return `${'░'.repeat(at)}█${'░'.repeat(barWidth - 1 - at)}     `;
  }
  const full = Math.round(fraction * barWidth);
  return `${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${String(Math.floor(fraction * 100)).padStart(3)}%`;
}
