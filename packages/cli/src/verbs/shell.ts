// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { openBoard } from '@mbl/lab';
import type { Cli, Outcome } from '../cli.ts';
import { boardFolder } from '../workbench/boards.ts';

/** Puts the terminal on a shell of the board, or runs one command there. Returns what the shell or the command returned. */
export async function shell(cli: Cli, name: string, given: readonly string[]): Outcome {
  const command = given[0] === '--' ? given.slice(1) : given;
  const board = await openBoard(boardFolder(cli.workspace, name));
  const words = command.length === 0 ? [] : ['--', ...(command.length === 1 ? command : command.map(quote))];
  const child = spawn('ssh', [...board.sshArguments(), ...words], { stdio: 'inherit' });
  const stop = () => child.kill('SIGTERM');
  cli.signal.addEventListener('abort', stop, { once: true });
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit, signal) => resolve(exit ?? (signal === 'SIGINT' ? 130 : 1)));
  });
  cli.signal.throwIfAborted();
  return code;
}

/** One word of a command as the remote shell must see it: several words are words, one is a command line. */
function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
