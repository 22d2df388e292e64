// SPDX-License-Identifier: Apache-2.0
import { connect, type Socket } from 'node:net';
import { MblError } from '@mbl/trust';
import { pause } from './processes.ts';

/** A message of the QEMU Machine Protocol, as far as a client looks at it. */
export type QmpMessage =
  | { readonly kind: 'greeting' }
  | { readonly kind: 'return'; readonly value: unknown }
  | { readonly kind: 'error'; readonly description: string }
  | { readonly kind: 'event'; readonly name: string };

const maximumLineLength = 1024 * 1024;

/** Splits QMP's stream into messages: one JSON object a line. Throws only `MblError` `lab/qmp-invalid`. */
export class QmpDecoder {
  #rest = '';

  decode(text: string): QmpMessage[] {
    this.#rest += text;
    const lines = this.#rest.split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > maximumLineLength) throw invalid('The emulator sent an endless line.');
    return lines.filter((line) => line.trim() !== '').map(parseMessage);
  }
}

function parseMessage(line: string): QmpMessage {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw invalid('The emulator sent something that is not JSON.', cause);
  }
  if (typeof json === 'object' && json !== null) {
    const message = json as Record<string, unknown>;
    if ('QMP' in message) return { kind: 'greeting' };
    if ('return' in message) return { kind: 'return', value: message.return };
    if (typeof message.event === 'string') return { kind: 'event', name: message.event };
    if (typeof message.error === 'object' && message.error !== null) {
      return { kind: 'error', description: String((message.error as Record<string, unknown>).desc) };
    }
  }
  throw invalid('The emulator sent a message of no known kind.');
}

function invalid(message: string, cause?: unknown): MblError {
  return new MblError('lab/qmp-invalid', message, {
    remedy: 'Stop the board with ./mbl down and start it again.',
    cause,
  });
}

export interface QmpOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Tells that waiting for the socket is pointless. */
  readonly gaveUp?: () => boolean;
}

export interface QmpCommand {
  readonly execute: string;
  readonly arguments?: Record<string, unknown>;
}

/**
 * Runs commands on the emulator's control socket and closes it again: the socket serves one client at a time, and a test and a
 * command line may both want it. Returns each command's value; an answer that is an error is `lab/qmp-refused`.
 */
export async function qmp(
  path: string,
  commands: readonly QmpCommand[],
  options: QmpOptions = {},
): Promise<unknown[]> {
  const { timeoutMs = 20_000 } = options;
  const deadline = Date.now() + timeoutMs;
  const socket = await openSocket(path, deadline, options);
  const decoder = new QmpDecoder();
  const pending = [{ execute: 'qmp_capabilities' }, ...commands];
  const values: unknown[] = [];
  return await new Promise<unknown[]>((resolve, reject) => {
    const finish = (error?: unknown): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      socket.destroy();
      if (error === undefined) resolve(values.slice(1));
      else reject(error);
    };
    const onAbort = (): void => finish(options.signal?.reason);
    const timer = setTimeout(
      () =>
        finish(
          new MblError('lab/deadline', `The emulator did not answer within ${timeoutMs / 1000} s.`, {
            remedy: 'Stop the board with ./mbl down and start it again.',
          }),
        ),
      Math.max(1, deadline - Date.now()),
    );
    options.signal?.addEventListener('abort', onAbort);
    const next = (): void => {
      const command = pending[values.length];
      if (command === undefined) finish();
      else socket.write(`${JSON.stringify(command)}\n`);
    };
    let greeted = false;
    const onMessage = (message: QmpMessage): void => {
      if (message.kind === 'greeting') {
        // An emulator under load was seen to greet twice.
        if (!greeted) next();
        greeted = true;
      } else if (message.kind === 'return') {
        values.push(message.value);
        next();
      } else if (message.kind === 'error') {
        finish(
          new MblError('lab/qmp-refused', `The emulator refused a command: ${message.description}`, {
            remedy: 'Check that qemu-system-aarch64 is version 7.2 or later.',
          }),
        );
      }
    };
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      try {
        decoder.decode(text).forEach(onMessage);
      } catch (error) {
        finish(error);
      }
    });
    const stopped = (cause?: Error): void =>
      finish(new MblError('lab/board-stopped', 'The emulator closed its control socket.', { cause }));
    socket.on('error', stopped);
    socket.on('close', () => stopped());
  });
}

async function openSocket(path: string, deadline: number, options: QmpOptions): Promise<Socket> {
  for (;;) {
    options.signal?.throwIfAborted();
    const socket = connect(path);
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once('connect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    if (error === undefined) return socket;
    socket.destroy();
    if (options.gaveUp?.() === true || Date.now() >= deadline) {
      throw new MblError('lab/board-stopped', 'The emulator has no control socket: it is not running.', {
        cause: error,
      });
    }
    await pause(20, options.signal);
  }
}

/** The host ports of QEMU's forwards, from `info usernet`: guest port to host port. */
export function parseForwards(text: string): Map<number, number> {
  const forwards = new Map<number, number>();
  for (const line of text.slice(0, maximumLineLength).split('\n')) {
    const match = /^\s*TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d{1,5})\s+\S+\s+(\d{1,5})\s/.exec(line);
    if (match !== null) forwards.set(Number(match[2]), Number(match[1]));
  }
  return forwards;
}
