// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';

/** How a program ended, and what it wrote. */
export interface Written {
  /** undefined: it did not end within its deadline, was killed, or could not be started. */
  readonly code: number | undefined;
  /** Both streams, as UTF-8; the first bytes of them. */
  readonly output: string;
}

/** Runs a program to its end, or for `deadlineMs` at most, and keeps the first `most` bytes of what it writes. */
export async function runForOutput(
  command: string,
  args: readonly string[],
  { deadlineMs, most }: { readonly deadlineMs: number; readonly most: number },
): Promise<Written> {
  return await new Promise((resolve) => {
    const pieces: Buffer[] = [];
    let kept = 0;
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { PATH: '/usr/sbin:/usr/bin', LC_ALL: 'C.UTF-8' },
    });
    const done = (code: number | undefined): void => {
      clearTimeout(timer);
      resolve({ code, output: Buffer.concat(pieces).toString('utf8') });
    };
    const timer = setTimeout(() => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
      child.unref();
      child.stdout.destroy();
      child.stderr.destroy();
      done(undefined);
    }, deadlineMs);
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (piece: Buffer) => {
        const part = piece.subarray(0, most - kept);
        kept += part.length;
        if (part.length > 0) pieces.push(part);
      });
    child.once('error', (error) => {
      pieces.push(Buffer.from(error.message));
      done(undefined);
    });
    child.once('close', (code) => done(code ?? undefined));
  });
}
