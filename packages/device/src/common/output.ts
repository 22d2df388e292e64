// SPDX-License-Identifier: Apache-2.0
import { startProgram } from './start-program.ts';

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
  const pieces: Buffer[] = [];
  let kept = 0;
  const end = await startProgram(command, args, {
    deadlineMs,
    environment: { LC_ALL: 'C.UTF-8' },
    onOutput(piece) {
      const part = piece.subarray(0, most - kept);
      kept += part.length;
      if (part.length > 0) pieces.push(part);
    },
  });
  if (end instanceof Error) pieces.push(Buffer.from(end.message));
  return { code: typeof end === 'number' ? end : undefined, output: Buffer.concat(pieces).toString('utf8') };
}
