// SPDX-License-Identifier: Apache-2.0
import { StringDecoder } from 'node:string_decoder';
import { startProgram } from './start-program.ts';

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
  let said = '';
  const decoder = new StringDecoder('utf8');
  const end = await startProgram(command, args, {
    deadlineMs,
    // What an administrator's file would say must not decide how file systems are made.
    environment: { LC_ALL: 'C', MKE2FS_CONFIG: '/dev/null', E2FSCK_CONFIG: '/dev/null' },
    onOutput: (piece) => (said = (said + decoder.write(piece)).slice(-keptOutput)),
  });
  if (end === 'late') said += `\nno end within ${deadlineMs / 1000} s`;
  if (end instanceof Error) said += `\n${end.message}`;
  const lines = said.split('\n').map((line) => line.trim());
  return {
    code: typeof end === 'number' ? end : undefined,
    said: lines.findLast((line) => line !== '') ?? '',
    all: said,
  };
}
