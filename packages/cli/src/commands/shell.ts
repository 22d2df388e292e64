// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { rest, verb } from '../verb.ts';
import { board as boardArgument } from '../parameters.ts';

/** Puts the terminal on a shell of the board, or runs one command there. Returns what the shell or the command returned. */
export const shell = verb({
  name: 'shell',
  description: 'a shell on a board that runs the development image, or one command there',
  json: false,
  arguments: {
    board: boardArgument,
    command: rest('what to run instead of a shell; the board is named then'),
  },
  passThrough: true,
  async run({ workspace, signal }, given) {
    const { findBoard } = await import('../workbench/boards.ts');
    const board = await findBoard(workspace, given.board);
    const command = given.command[0] === '--' ? given.command.slice(1) : given.command;
    const words =
      command.length === 0 ? [] : ['--', ...(command.length === 1 ? command : command.map(quote))];
    const child = spawn('ssh', [...board.sshArguments(), ...words], { stdio: 'inherit' });
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exit, by) => resolve(exit ?? (by === 'SIGINT' ? 130 : 1)));
    });
    signal.throwIfAborted();
    return code;
  },
});

/** One word of a command as the remote shell must see it: several words are words, one is a command line. */
function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
