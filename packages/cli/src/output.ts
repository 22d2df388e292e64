// SPDX-License-Identifier: Apache-2.0
import { styleText } from 'node:util';
import { Progress } from './progress.ts';
import { formatTable } from './table.ts';

/** Where text goes: a stream of the process, or a test's buffer. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow' | 'cyan';

export interface OutputOptions {
  stdout: Sink;
  stderr: Sink;
  environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * All that a verb says. Results go to stdout, as text or (`json`) as one JSON value; progress and remarks go to stderr, and in JSON
 * mode nowhere. Colour and live lines only on a terminal, and never with NO_COLOR (https://no-color.org).
 */
export class Output {
  json = false;
  readonly progress: Progress;
  readonly #stdout: Sink;
  readonly #stderr: Sink;
  readonly #colourless: boolean;

  constructor({ stdout, stderr, environment = {} }: OutputOptions) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#colourless = Boolean(environment['NO_COLOR']) || environment['TERM'] === 'dumb';
    this.progress = new Progress({
      sink: { write: (text) => this.json || stderr.write(text) },
      live: stderr.isTTY === true && environment['TERM'] !== 'dumb',
      columns: () => stderr.columns ?? 80,
      style: (style, text) => this.#style(stderr, style, text),
    });
  }

  /** Marks a part of a text that goes to stdout. */
  style(style: Style, text: string): string {
    return this.#style(this.#stdout, style, text);
  }

  /** A line of the human result. Silent in JSON mode. */
  line(text = ''): void {
    if (!this.json) this.#stdout.write(`${text}\n`);
  }

  table(header: readonly string[], rows: readonly (readonly string[])[]): void {
    const [first, ...rest] = formatTable(header, rows);
    if (first === undefined) return;
    this.line(header.length === 0 ? first : this.style('bold', first));
    for (const line of rest) this.line(line);
  }

  /** The result for programs, printed in JSON mode only. */
  value(value: unknown): void {
    if (this.json) this.#stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** One event of a stream, one line each, in JSON mode only. */
  event(value: unknown): void {
    if (this.json) this.#stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** A remark for a person, on stderr. */
  remark(text: string): void {
    this.progress.interrupt(() => {
      if (!this.json) this.#stderr.write(`${text}\n`);
    });
  }

  /** Bytes as they are, on stdout. */
  raw(text: string): void {
    this.#stdout.write(text);
  }

  /** The error that ends the command, on stderr, in either mode. */
  error(text: string): void {
    this.#stderr.write(`${text}\n`);
  }

  /** Marks a part of a text that goes to stderr. */
  errorStyle(style: Style, text: string): string {
    return this.#style(this.#stderr, style, text);
  }

  #style(sink: Sink, style: Style, text: string): string {
    if (this.#colourless || sink.isTTY !== true) return text;
    return styleText(style, text, { validateStream: false });
  }
}
