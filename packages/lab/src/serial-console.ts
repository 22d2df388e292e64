// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { MblError } from '@mbl/trust';
import { type ConsoleLine, ConsoleLogReader } from './console-log.ts';
import { pause } from './processes.ts';

export interface WaitOptions {
  /** Default 60 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ConsoleMatch {
  readonly line: ConsoleLine;
  readonly match: RegExpExecArray;
}

/** What a console needs to know of its board. */
export interface ConsoleSource {
  readonly boardName: string;
  readonly logPath: string;
  /** The console's socket, undefined while the board is off. */
  socketPath(): string | undefined;
  /** False once the run has ended and its log is complete. */
  isLive(): boolean;
}

const pollMs = 25;

/**
 * One serial console of a board. `waitFor` walks forward: it looks at lines seen and to come, from behind the previous match. The log of
 * a run starts with the power-on; a reset continues it.
 */
export class SerialConsole {
  readonly #source: ConsoleSource;
  #reader = new ConsoleLogReader();
  #position = 0;
  #identity = '';
  /** Where the next `waitFor` starts. */
  #cursor = { line: 0, column: 0 };
  #socket: Socket | undefined;

  constructor(source: ConsoleSource) {
    this.#source = source;
  }

  get logPath(): string {
    return this.#source.logPath;
  }

  /** Every line of this run so far, the unfinished one (a prompt) last. */
  async lines(): Promise<ConsoleLine[]> {
    await this.#refresh();
    return this.#reader.lines();
  }

  /**
   * Waits for a line that matches. A text matches anywhere in a line. Errors: `lab/deadline` and `lab/board-stopped`, both with the
   * last lines of the console in the message.
   */
  async waitFor(pattern: string | RegExp, options: WaitOptions = {}): Promise<ConsoleMatch> {
    const { timeoutMs = 60_000, signal } = options;
    const expression = typeof pattern === 'string' ? new RegExp(RegExp.escape(pattern), 'u') : pattern;
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      // Asked before the reading: what a board that just stopped has said is read all the same.
      const live = this.#source.isLive();
      await this.#refresh();
      const found = this.#search(expression);
      if (found !== undefined) return found;
      if (!live) throw this.#failure('lab/board-stopped', `stopped before its console showed ${pattern}`);
      if (Date.now() >= deadline) {
        throw this.#failure('lab/deadline', `did not show ${pattern} within ${timeoutMs / 1000} s`);
      }
      await pause(pollMs, signal);
    }
  }

  /** Types text; the caller adds the newline. */
  async write(text: string): Promise<void> {
    const socket = await this.connect();
    await new Promise<void>((resolve, reject) => {
      socket.write(text, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** The connection for typing, kept until `close`; its readable side is the console's raw bytes. */
  async connect(): Promise<Socket> {
    if (this.#socket !== undefined && !this.#socket.destroyed) return this.#socket;
    const path = this.#source.socketPath();
    if (path === undefined) throw this.#failure('lab/board-stopped', 'is not running');
    const socket = connect(path);
    this.#socket = socket;
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.on('error', () => socket.destroy());
    // Nobody reads here: the log has it all.
    socket.resume();
    socket.unref();
    return socket;
  }

  /** Waits again from the first line of the run. */
  rewind(): void {
    this.#cursor = { line: 0, column: 0 };
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #search(expression: RegExp): ConsoleMatch | undefined {
    const first = Math.max(this.#cursor.line, this.#reader.first);
    for (const [index, line] of this.#reader.lines(first).entries()) {
      const number = first + index;
      const column = number === this.#cursor.line ? this.#cursor.column : 0;
      expression.lastIndex = 0;
      const match = expression.exec(line.text.slice(column));
      if (match === null) continue;
      this.#cursor = { line: number, column: column + match.index + match[0].length };
      return { line, match };
    }
    return undefined;
  }

  async #refresh(): Promise<void> {
    const file = await open(this.#source.logPath).catch(() => undefined);
    if (file === undefined) return;
    try {
      const { ino, birthtimeMs } = await file.stat();
      if (`${ino}:${birthtimeMs}` !== this.#identity) {
        // A new run has a new log.
        this.#identity = `${ino}:${birthtimeMs}`;
        this.#position = 0;
        this.#reader = new ConsoleLogReader();
        this.rewind();
      }
      await this.#readRest(file);
    } finally {
      await file.close();
    }
  }

  async #readRest(file: FileHandle): Promise<void> {
    const buffer = Buffer.alloc(64 * 1024);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, this.#position);
      if (bytesRead === 0) return;
      this.#position += bytesRead;
      this.#reader.feed(buffer.subarray(0, bytesRead));
    }
  }

  #failure(code: string, what: string): MblError {
    const tail = this.#reader.lines().slice(-20);
    const shown = tail.map((line) => `  ${line.text}`).join('\n');
    return new MblError(
      code,
      `Board ${this.#source.boardName} ${what}.${shown === '' ? ' Its console is empty.' : ` Last lines:\n${shown}`}`,
      { remedy: `Read the whole log: ${this.#source.logPath}`, details: { log: this.#source.logPath } },
    );
  }
}
