// SPDX-License-Identifier: Apache-2.0
import { connect } from 'node:net';
import { MblError } from '@mbl/trust';
import type { Board } from './board.ts';

/** The key that leaves the console: Ctrl-]. */
export const consoleEscape = 0x1d;

export interface ConsoleStreams {
  readonly input: NodeJS.ReadableStream & {
    isTTY?: boolean;
    setRawMode?(raw: boolean): unknown;
    unref?(): unknown;
  };
  readonly output: NodeJS.WritableStream;
  readonly signal?: AbortSignal;
}

/**
 * Puts a terminal on the board's serial console, starting with what the console said last, until Ctrl-] is typed (`escaped`), the
 * board stops, or the signal aborts (`aborted`).
 */
export async function attachConsole(
  board: Board,
  streams: ConsoleStreams,
): Promise<'escaped' | 'stopped' | 'aborted'> {
  const { input, output, signal } = streams;
  const path = board.consolePath;
  if (path === undefined) {
    throw new MblError('lab/board-stopped', `Board ${board.name} is not running.`, {
      remedy: 'Start it with: ./mbl run',
    });
  }
  const socket = connect(path);
  const raw = input.isTTY === true && input.setRawMode !== undefined;
  if (raw) input.setRawMode?.(true);
  return await new Promise((resolve) => {
    const finish = (outcome: 'escaped' | 'stopped' | 'aborted'): void => {
      input.removeListener('data', onInput);
      input.pause();
      // A pipe that is paused would still keep the process.
      input.unref?.();
      if (raw) input.setRawMode?.(false);
      signal?.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(outcome);
    };
    const onAbort = (): void => finish('aborted');
    const onInput = (chunk: string | Buffer): void => {
      const bytes = Buffer.from(chunk as Buffer);
      const escape = bytes.indexOf(consoleEscape);
      socket.write(escape === -1 ? bytes : bytes.subarray(0, escape));
      if (escape !== -1) finish('escaped');
    };
    socket.on('data', (bytes) => output.write(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => finish('stopped'));
    input.on('data', onInput);
    input.resume();
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort);
  });
}
