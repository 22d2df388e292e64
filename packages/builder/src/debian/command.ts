// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { MblError } from '@mbl/trust';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  /** Bytes for standard input; nothing by default. */
  readonly input?: Uint8Array | string;
  /** Milliseconds; the command is killed after that. Default: ten minutes. */
  readonly timeout?: number;
  /** Return also when the exit status is not 0. */
  readonly tolerant?: boolean;
}

export interface CommandResult {
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/**
 * Runs a program to its end.
 *
 * Throws `builder/missing-tool` when it is not installed and `builder/command-failed` (with the last lines that it wrote) when it ends
 * with another status than 0.
 */
export const runCommand = async (
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> => {
  options.signal?.throwIfAborted();
  const timeout = AbortSignal.timeout(options.timeout ?? 600_000);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env,
    signal,
    killSignal: 'SIGTERM',
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A program that ends without reading its input (EPIPE) is judged by its exit status.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, killed) => resolve(code ?? (killed ? 128 : 1)));
  }).catch((cause: NodeJS.ErrnoException) => {
    options.signal?.throwIfAborted();
    if (cause.code === 'ENOENT')
      throw new MblError('builder/missing-tool', `The program ${command} is not installed.`, {
        remedy: 'Run ./mbl doctor to see the Debian package that holds it.',
        cause,
      });
    throw new MblError('builder/command-failed', `${command} did not finish: ${cause.message}.`, { cause });
  });
  const result = { status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() };
  if (status !== 0 && !options.tolerant) throw commandFailed(command, args, result);
  return result;
};

/** The error for a program that ended with another status than 0: shows the end of what it wrote. */
export const commandFailed = (command: string, args: readonly string[], result: CommandResult): MblError => {
  const text = result.stderr.trim() || result.stdout.toString().trim();
  const tail = text.split('\n').slice(-8).join('\n');
  return new MblError('builder/command-failed', `${command} ended with status ${result.status}:\n${tail}`, {
    details: { command, args: [...args], status: result.status },
  });
};
