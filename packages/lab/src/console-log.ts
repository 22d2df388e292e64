// SPDX-License-Identifier: Apache-2.0
import { StringDecoder } from 'node:string_decoder';

/** A line of a serial console with the host's time at its first byte. */
export interface ConsoleLine {
  readonly at: Date;
  readonly text: string;
}

const maximumLineLength = 8192;
const stampLength = '1970-01-01T00:00:00.000Z '.length;

/**
 * Turns the bytes of a serial console into log text: every line starts with the host's time, escape sequences and control characters
 * are left out (a guest must not be able to drive the terminal that shows the log, and patterns match what a person reads).
 */
export class ConsoleLogWriter {
  #decoder = new StringDecoder('utf8');
  #column = 0;
  #escape: 'no' | 'start' | 'csi' | 'string' = 'no';

  /** The text to append to the log for these bytes. */
  write(bytes: Uint8Array, now: Date): string {
    let out = '';
    for (const character of this.#decoder.write(Buffer.from(bytes))) {
      if (this.#skips(character)) continue;
      if (this.#column === 0) out += `${now.toISOString()} `;
      if (character === '\n') {
        out += '\n';
        this.#column = 0;
        continue;
      }
      out += character;
      this.#column++;
      if (this.#column >= maximumLineLength) {
        out += '\n';
        this.#column = 0;
      }
    }
    return out;
  }

  /** ECMA-48 §5.3, §5.4: ESC [ … final byte is a control sequence; ESC ] P X ^ _ open a string. */
  #skips(character: string): boolean {
    const code = character.codePointAt(0) ?? 0;
    if (code === 0x1b) {
      this.#escape = 'start';
      return true;
    }
    switch (this.#escape) {
      case 'start':
        if (character === '[') this.#escape = 'csi';
        else if (']PX^_'.includes(character)) this.#escape = 'string';
        // Intermediate bytes (ESC ( B selects a character set) are followed by a final byte.
        else if (code < 0x20 || code > 0x2f) this.#escape = 'no';
        return true;
      case 'csi':
        // A line's end is never part of a sequence: a cut sequence must not swallow the rest of the log.
        if (character === '\n') break;
        if (code >= 0x40 && code <= 0x7e) this.#escape = 'no';
        return true;
      case 'string':
        if (character === '\n') break;
        if (code === 0x07) this.#escape = 'no';
        return true;
      case 'no':
        break;
    }
    this.#escape = 'no';
    return (code < 0x20 && character !== '\n' && character !== '\t') || (code >= 0x7f && code < 0xa0);
  }
}

/** Reads a log that `ConsoleLogWriter` writes, while it grows. Keeps the newest `maximumLines` lines. */
export class ConsoleLogReader {
  readonly #maximumLines: number;
  #decoder = new StringDecoder('utf8');
  #lines: ConsoleLine[] = [];
  #dropped = 0;
  #rest = '';

  constructor(maximumLines = 100_000) {
    this.#maximumLines = maximumLines;
  }

  feed(bytes: Uint8Array): void {
    this.#rest += this.#decoder.write(Buffer.from(bytes));
    const parts = this.#rest.split('\n');
    this.#rest = parts.pop() ?? '';
    if (this.#rest.length > stampLength + maximumLineLength) this.#rest = '';
    for (const part of parts) this.#lines.push(parseLine(part, this.#lines.at(-1)));
    const excess = this.#lines.length - this.#maximumLines;
    if (excess > 0) {
      this.#lines.splice(0, excess);
      this.#dropped += excess;
    }
  }

  /** The number of the first line that is kept; lines count from 0. */
  get first(): number {
    return this.#dropped;
  }

  /** The lines from number `from` on, the unfinished one (a prompt) last. */
  lines(from = 0): ConsoleLine[] {
    const lines = this.#lines.slice(Math.max(0, from - this.#dropped));
    if (this.#rest.length >= stampLength && from <= this.#dropped + this.#lines.length) {
      lines.push(parseLine(this.#rest, this.#lines.at(-1)));
    }
    return lines;
  }
}

function parseLine(line: string, previous: ConsoleLine | undefined): ConsoleLine {
  const stamp = line.slice(0, stampLength);
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z $/.test(stamp)) {
    const at = new Date(stamp.trim());
    if (!Number.isNaN(at.getTime())) return { at, text: line.slice(stampLength) };
  }
  return { at: previous?.at ?? new Date(0), text: line };
}
