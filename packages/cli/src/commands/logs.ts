// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Board } from '@mbl/lab';
import { type Cli, exitCodes } from '../cli.ts';
import { choice, flag, value, verb } from '../verb.ts';
import { board as boardArgument, wholeNumber } from '../parameters.ts';

/** Prints the end of a log, and with `follow` what comes after it. */
export const logs = verb({
  name: 'logs',
  description: 'the log of the service, or of a board',
  json: false,
  arguments: { source: choice('whose log', ['service', 'serial', 'board']), board: boardArgument },
  options: {
    follow: flag('go on until Ctrl-C', { short: 'f' }),
    lines: value('number', 'how many of the last lines', { short: 'n', parse: wholeNumber(0), fallback: 50 }),
  },
  more: 'service  what the device management service wrote\nserial   what the board wrote to its serial console\nboard    the journal of a board that runs the development image',
  async run(cli, { source, board: name, ...part }) {
    if (source === 'service') {
      const { serviceLog } = await import('../workbench/service.ts');
      return await printFile(cli, serviceLog(cli.workspace), part, 'Start the service with: ./mbl up');
    }
    const { findBoard } = await import('../workbench/boards.ts');
    const board = await findBoard(cli.workspace, name);
    return source === 'serial'
      ? await printFile(cli, board.serial.logPath, part, 'Start the board with: ./mbl up')
      : await printJournal(cli, board, part);
  },
});

interface Part {
  readonly follow: boolean;
  readonly lines: number;
}

async function printJournal({ signal }: Cli, board: Board, { follow, lines }: Part): Promise<number> {
  const command = `journalctl --no-pager --lines=${lines}${follow ? ' --follow' : ''}`;
  const child = spawn('ssh', [...board.sshArguments(), '--', command], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (signal.aborted) return exitCodes.interrupted;
  if (code === 0) return 0;
  const { MblError } = await import('@mbl/trust');
  throw new MblError(
    'cli/board-unreachable',
    `Board ${board.name} does not answer on SSH (exit code ${code}).`,
    {
      remedy: `Only the development image takes SSH; what the console shows: ./mbl logs serial ${board.name}`,
    },
  );
}

const pollEvery = 200;
const chunk = 64 << 10;

async function printFile(cli: Cli, path: string, { lines, follow }: Part, remedy: string): Promise<number> {
  const { MblError } = await import('@mbl/trust');
  const file = await open(path).catch((cause: unknown) => {
    throw new MblError('cli/no-log', `There is no log yet: ${path}`, { remedy, cause });
  });
  let { size: position, ino } = await file.stat();
  try {
    position = await startOfLines(file, position, lines);
    for (;;) {
      position = await copyFrom(cli, file, position);
      if (!follow) return 0;
      await sleep(pollEvery, undefined, { signal: cli.signal }).catch(() => {});
      if (cli.signal.aborted) return exitCodes.interrupted;
      const now = await open(path).catch(() => undefined);
      if (now === undefined) continue;
      const { ino: latest, size: left } = await now.stat();
      await now.close();
      // The service began it anew, because it had grown too large.
      if (left < position) position = 0;
      // A new run has a new file.
      if (latest !== ino)
        return await printFile(cli, path, { lines: Number.MAX_SAFE_INTEGER, follow }, remedy);
    }
  } finally {
    await file.close();
  }
}

/** Where the last `lines` lines of a file begin. */
async function startOfLines(
  file: Awaited<ReturnType<typeof open>>,
  size: number,
  lines: number,
): Promise<number> {
  let found = 0;
  let end = size;
  while (end > 0) {
    const start = Math.max(0, end - chunk);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i -= 1) {
      // The newline that ends the file ends the last line, and starts none.
      if (buffer[i] !== 0x0a || start + i === size - 1) continue;
      found += 1;
      if (found >= lines) return start + i + 1;
    }
    end = start;
  }
  return lines === 0 ? size : 0;
}

async function copyFrom(cli: Cli, file: Awaited<ReturnType<typeof open>>, from: number): Promise<number> {
  let position = from;
  const decoder = new TextDecoder();
  for (;;) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(chunk), 0, chunk, position);
    if (bytesRead === 0) return position;
    cli.output.raw(decoder.decode(buffer.subarray(0, bytesRead), { stream: true }));
    position += bytesRead;
  }
}
