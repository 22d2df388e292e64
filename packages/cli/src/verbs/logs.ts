// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBoard } from '@mbl/lab';
import { MblError } from '@mbl/trust';
import type { Cli, Outcome } from '../cli.ts';
import { exitCodes } from '../exit-codes.ts';
import { boardFolder } from '../workbench/boards.ts';
import { serviceLog } from '../workbench/service-daemon.ts';

export interface LogsOptions {
  follow?: boolean;
  lines: number;
}

/** Prints the end of a log, and with `follow` what comes after it. */
export async function logs(
  cli: Cli,
  source: 'service' | 'serial' | 'board',
  name: string,
  options: LogsOptions,
): Outcome {
  if (source === 'service') {
    return await printFile(cli, serviceLog(cli.workspace), options, 'Start the service with: ./mbl up');
  }
  const board = await openBoard(boardFolder(cli.workspace, name));
  if (source === 'serial') {
    return await printFile(cli, board.serial.logPath, options, 'Start the board with: ./mbl up');
  }
  const command = `journalctl --no-pager --lines=${options.lines}${options.follow === true ? ' --follow' : ''}`;
  const child = spawn('ssh', [...board.sshArguments(), '--', command], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const stop = () => child.kill('SIGTERM');
  cli.signal.addEventListener('abort', stop, { once: true });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (cli.signal.aborted) return exitCodes.interrupted;
  if (code !== 0) {
    throw new MblError('cli/board-unreachable', `Board ${name} does not answer on SSH (exit code ${code}).`, {
      remedy: 'Only the development image takes SSH; what the console shows: ./mbl logs serial',
    });
  }
  return 0;
}

const pollEvery = 200;
const chunk = 64 << 10;

async function printFile(
  cli: Cli,
  path: string,
  { lines, follow }: LogsOptions,
  remedy: string,
): Promise<number> {
  const file = await open(path).catch((cause: unknown) => {
    throw new MblError('cli/no-log', `There is no log yet: ${path}`, { remedy, cause });
  });
  let { size: position, ino } = await file.stat();
  try {
    position = await startOfLines(file, position, lines);
    for (;;) {
      position = await copyFrom(cli, file, position);
      if (follow !== true) return 0;
      await sleep(pollEvery, undefined, { signal: cli.signal }).catch(() => {});
      if (cli.signal.aborted) return exitCodes.interrupted;
      const now = await open(path).catch(() => undefined);
      if (now === undefined) continue;
      const { ino: latest } = await now.stat();
      await now.close();
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
