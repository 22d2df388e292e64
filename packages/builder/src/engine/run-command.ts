// SPDX-License-Identifier: Apache-2.0
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { MblError } from '@mbl/trust';
import { currentTask } from './current-task.ts';
import { currentTools } from './current-tools.ts';
import { errnoOf } from './errno.ts';

export interface RunCommandOptions {
  readonly cwd?: string;
  /** Added to the clean environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Gets each line that the command writes. Default: the log of the task that runs. */
  readonly log?: ((line: string) => void) | undefined;
  /** Default: the signal of the task that runs. */
  readonly signal?: AbortSignal | undefined;
  /** Standard input; empty by default. */
  readonly input?: string | Uint8Array;
  /** Give standard output back instead of logging it. */
  readonly capture?: boolean;
  /** Milliseconds after which the command is ended. Default: an hour. */
  readonly timeout?: number;
}

/** The time that builds claim to be made at, where a file format wants one: 2025-01-01T00:00:00Z. */
export const sourceDateEpoch = 1_735_689_600;

/**
 * The environment of commands: the programs of the current tools and nothing of the caller's, so that the same inputs give the same
 * bytes. Outside of a task, and in one without tools, the caller's search path.
 */
export function cleanEnvironment(
  extra: Readonly<Record<string, string | undefined>> = {},
): Record<string, string> {
  const tools = currentTools.getStore();
  const mark = currentTask.getStore()?.mark;
  const all: Record<string, string | undefined> = {
    PATH: (tools?.path ?? callersPath()).join(':'),
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    HOME: '/nonexistent',
    // A repository around the cache is not the history of the source that is compiled there: OP-TEE would compile in its commit.
    GIT_DIR: '/nonexistent',
    // Nor are the machine's settings of OpenSSL those of what signs and is linked here.
    OPENSSL_CONF: '/dev/null',
    SOURCE_DATE_EPOCH: String(sourceDateEpoch),
    MBL_TASK: mark,
    ...tools?.environment,
    ...extra,
  };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** File system tools live in sbin, which is not on every user's path. */
function callersPath(): string[] {
  const path = (process.env['PATH'] ?? '').split(':').filter((folder) => folder.startsWith('/'));
  return [...new Set([...path, '/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin'])];
}

/**
 * Runs a program to its end in a process group of its own; an abort ends the whole group. Returns standard output when `capture` is set.
 * Throws `builder/missing-tool`, `builder/command-failed`, `builder/disk-full`, `builder/stopped`.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: RunCommandOptions = {},
): Promise<Buffer> {
  const task = currentTask.getStore();
  const { cwd, log = task?.log.bind(task), capture = false, timeout = 3_600_000 } = options;
  const outer = options.signal ?? task?.signal;
  const limit = AbortSignal.timeout(timeout);
  const signal = outer === undefined ? limit : AbortSignal.any([outer, limit]);
  if (signal.aborted) throw stopped(signal.reason);
  log?.(`+ ${[command, ...args].join(' ')}`);

  const child = spawn(command, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: cleanEnvironment(options.env),
    detached: true,
    // Not a socket when there is no input: bash would take itself for a remote shell, and read the machine's and the user's bashrc.
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  }) as ChildProcessByStdio<Writable | null, Readable, Readable>;
  const captured: Buffer[] = [];
  const tail: string[] = [];
  const say = (line: string): void => {
    log?.(line);
    tail.push(line);
    if (tail.length > 20) tail.shift();
  };
  const reading = Promise.all([
    capture ? collect(child.stdout, captured) : eachLine(child.stdout, say),
    eachLine(child.stderr, say),
  ]).catch(() => {
    // An output that breaks off says nothing about the command: its exit status does.
  });
  // A command that ends without reading all its input is judged by its exit status.
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input);

  const killGroup = (name: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, name);
    } catch {
      // The group has ended.
    }
  };
  let lastResort: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    killGroup('SIGTERM');
    lastResort = setTimeout(() => killGroup('SIGKILL'), 2000);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  let status: string | undefined;
  try {
    status = await new Promise<string | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, name) =>
        resolve(code === 0 ? undefined : name === null ? `status ${code}` : name),
      );
    });
    // Children that the command left behind hold its output open; they get a second to end. What is captured must be whole.
    await (capture ? reading : Promise.race([reading, sleep(1000, undefined, { ref: false })]));
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') throw missingTool(command, cwd, cause);
    throw new MblError('builder/command-failed', `${command} cannot be started`, { cause });
  } finally {
    signal.removeEventListener('abort', onAbort);
    clearTimeout(lastResort);
    // Also when it went well: nothing of a task outlives it.
    killGroup('SIGKILL');
  }
  if (outer?.aborted === true) throw stopped(outer.reason);
  if (limit.aborted)
    throw new MblError(
      'builder/command-failed',
      `${command} did not end within ${Math.round(timeout / 1000)} s`,
    );
  if (status === undefined) return Buffer.concat(captured);
  if (tail.some((line) => line.includes('No space left on device')))
    throw new MblError('builder/disk-full', `${command} found the disk full`);
  throw new MblError('builder/command-failed', `${command} ended with ${status}`, {
    details: { command, args: [...args], status, lines: tail },
  });
}

/** What an aborted build throws. */
export function stopped(cause: unknown): MblError {
  return new MblError('builder/stopped', 'The build was stopped.', {
    remedy: 'Run the same command again: it continues from here.',
    cause,
  });
}

function missingTool(command: string, cwd: string | undefined, cause: unknown): MblError {
  if (cwd !== undefined && !existsSync(cwd))
    return new MblError('builder/command-failed', `${command} cannot be started: there is no folder ${cwd}`, {
      cause,
    });
  const own = currentTools.getStore() !== undefined;
  return new MblError(
    'builder/missing-tool',
    own ? `The toolboxes hold no program "${command}"` : `The program "${command}" is not installed`,
    {
      remedy: own
        ? 'Add its Debian package to packages/builder/src/tools/contents.ts.'
        : 'Install it; ./mbl doctor looks for all that is needed.',
      cause,
      details: { command },
    },
  );
}

/** Hands each line to `say`; progress that is written over itself with carriage returns counts as lines. */
async function eachLine(stream: Readable, say: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) say(line);
}

async function collect(stream: Readable, chunks: Buffer[]): Promise<void> {
  for await (const chunk of stream) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
}
