// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';

/** How a program ended. */
export interface Outcome {
  /** undefined: it did not end within its deadline, was killed, or could not be started. */
  readonly code: number | undefined;
  /** What it said last, a line. */
  readonly said: string;
  /** All that it said, of much the end. */
  readonly all?: string;
}

/** Most of what a program says that is kept, in characters. */
const keptOutput = 64 * 1024;

/** Runs a program to its end, or for `deadlineMs` at most. */
export async function runProgram(
  command: string,
  args: readonly string[],
  deadlineMs: number,
): Promise<Outcome> {
  return await new Promise((resolve) => {
    let said = '';
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: what it started ends with it.
      detached: true,
      // What an administrator's file would say must not decide how file systems are made.
      env: {
        PATH: '/usr/sbin:/usr/bin',
        LC_ALL: 'C',
        MKE2FS_CONFIG: '/dev/null',
        E2FSCK_CONFIG: '/dev/null',
      },
    });
    const done = (code: number | undefined): void => {
      clearTimeout(timer);
      const lines = said.split('\n').map((line) => line.trim());
      resolve({ code, said: lines.findLast((line) => line !== '') ?? '', all: said });
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
      said += `\nno end within ${deadlineMs / 1000} s`;
      done(undefined);
    }, deadlineMs);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-keptOutput)));
    child.once('error', (error) => {
      said += `\n${error.message}`;
      done(undefined);
    });
    child.once('close', (code) => done(code ?? undefined));
  });
}
