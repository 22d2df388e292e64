// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';

export interface ProgramOptions {
  /** Milliseconds until it is killed, with all that it started. */
  readonly deadlineMs: number;
  /** Beside the usual PATH. */
  readonly environment: Readonly<Record<string, string>>;
  /** Gets what it writes to either stream, as it comes. */
  readonly onOutput: (piece: Buffer) => void;
}

/** How a program ended: with a status, at its deadline, by a signal, or not at all, since it could not be started. */
export type End = number | 'late' | 'killed' | Error;

/** Runs a program to its end, or for `deadlineMs` at most. Its input is empty. */
export async function startProgram(
  command: string,
  args: readonly string[],
  { deadlineMs, environment, onOutput }: ProgramOptions,
): Promise<End> {
  return await new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: what it started ends with it.
      detached: true,
      env: { PATH: '/usr/sbin:/usr/bin', ...environment },
    });
    const done = (end: End): void => {
      clearTimeout(timer);
      resolve(end);
    };
    // A program that waits for a disk which does not answer cannot be killed: nobody waits for its end.
    const timer = setTimeout(() => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
      child.unref();
      child.stdout.destroy();
      child.stderr.destroy();
      done('late');
    }, deadlineMs);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', onOutput);
    child.once('error', done);
    child.once('close', (code) => done(code ?? 'killed'));
  });
}
