// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { access, constants, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MblError } from '@mbl/trust';
import {
  type BoardClock,
  type EmulatorSettings,
  emulatorArguments,
  type ExtraDisk,
  type PortForward,
} from './emulator-arguments.ts';
import type { BoardImage } from './image.ts';
import {
  environmentOfTools,
  identifyProcess,
  isAlive,
  type ProcessId,
  sendSignal,
  toolMissing,
  waitForExit,
} from './processes.ts';
import { parseForwards, qmp } from './qmp.ts';
import { claimRun, clearRunState, type RunState, writeRunState } from './run-state.ts';
import { copySparse } from './sparse-copy.ts';
import { type Medium, media } from './writes/log-format.ts';

export interface StartOptions {
  readonly signal?: AbortSignal | undefined;
  /** Ports of the guest to reach at 127.0.0.1 beside SSH; host port 0 lets the host choose. */
  readonly ports?: readonly PortForward[];
  /** Disks that somebody plugged in. */
  readonly disks?: readonly ExtraDisk[];
  /** True: the board outlives this process. Default: it dies with it, however it dies. */
  readonly detached?: boolean;
  /** Default: the host's. 1970 is that of a board without a battery. */
  readonly clock?: BoardClock;
  /** Keeps disk and flash as they are now and records every write from here on, for `writeLog` and `crashStates`. */
  readonly recordWrites?: boolean;
}

/** The files of a board's folder. */
export const boardFiles = {
  flash: 'flash.bin',
  disk: 'disk.img',
  serialLog: 'serial.log',
  secureLog: 'secure.log',
  emulatorLog: 'emulator.log',
  writeLog: 'writes.log',
  startDisk: 'disk.start.img',
  startFlash: 'flash.start.bin',
} as const;

/** Of each medium: its file, and what that was when the last recorded run began. */
export const mediumFiles = {
  disk: { file: boardFiles.disk, start: boardFiles.startDisk },
  flash: { file: boardFiles.flash, start: boardFiles.startFlash },
} as const satisfies Record<Medium, unknown>;

const startDeadlineMs = 30_000;
const recorderSocket = 'media';

/** Switches the board on. Errors: `lab/board-running`, `lab/tool-missing`, `lab/emulator-failed`. */
export async function startEmulator(
  directory: string,
  name: string,
  image: BoardImage,
  options: StartOptions,
): Promise<RunState> {
  const { signal } = options;
  signal?.throwIfAborted();
  await checkOnPath(image.emulator.binary, 'qemu-system-arm');
  await claimRun(directory, name);
  const children: ProcessId[] = [];
  const runDirectory = await makeRunDirectory();
  try {
    await rotateLogs(directory);
    const recordWrites = options.recordWrites ?? false;
    const hub = await startHub(directory, runDirectory, signal);
    children.push(hub);
    const recorder = recordWrites ? await startRecorder(directory, runDirectory, signal) : undefined;
    if (recorder !== undefined) children.push(recorder);
    const forwards = [{ guest: 22, host: 0 }, ...(options.ports ?? [])];
    const settings: EmulatorSettings = {
      flash: join(directory, boardFiles.flash),
      disk: join(directory, boardFiles.disk),
      recorder: recordWrites ? join(runDirectory, recorderSocket) : undefined,
      runDirectory,
      forwards,
      disks: options.disks,
      clock: options.clock ?? 'host',
    };
    const detached = options.detached ?? false;
    const process = await spawnEmulator(directory, name, image, settings, detached);
    children.push(process);
    const state: RunState = {
      version: 1,
      process,
      phase: 'running',
      directory: runDirectory,
      hub,
      recorder,
      forwards,
      startedAt: new Date().toISOString(),
      detached,
    };
    // Written before the guest runs: whatever happens to this process, the next one finds the emulator.
    await writeRunState(directory, state);
    const [, usernet] = await qmp(
      join(runDirectory, 'qmp'),
      [
        { execute: 'query-status' },
        { execute: 'human-monitor-command', arguments: { 'command-line': 'info usernet' } },
        { execute: 'cont' },
      ],
      { timeoutMs: startDeadlineMs, signal, gaveUp: () => !isAlive(process) },
    ).catch(async (cause: unknown) => {
      // An emulator that gives up closes its sockets a moment before it is gone.
      if (signal?.aborted === true || !(await waitForExit(process, 2000))) throw cause;
      throw await emulatorFailed(directory, name, cause);
    });
    const hostPorts = parseForwards(String(usernet));
    const running: RunState = {
      ...state,
      startedAt: new Date().toISOString(),
      forwards: forwards.map(({ guest, host }) => ({ guest, host: hostPorts.get(guest) ?? host })),
    };
    await writeRunState(directory, running);
    return running;
  } catch (error) {
    for (const child of children) sendSignal(child, 'SIGKILL');
    await clearRunState(directory);
    await rm(runDirectory, { recursive: true, force: true });
    throw error;
  }
}

/** A path of a few bytes whatever the board's folder is called: sun_path has 107 (unix(7)). */
async function makeRunDirectory(): Promise<string> {
  const parent = tmpdir();
  return await mkdtemp(join(parent.length > 60 ? '/tmp' : parent, 'mbl-'));
}

/** The previous run's logs stay readable until the run after. */
async function rotateLogs(directory: string): Promise<void> {
  for (const file of [boardFiles.serialLog, boardFiles.secureLog, boardFiles.emulatorLog]) {
    const path = join(directory, file);
    await rename(path, path.replace(/\.log$/, '.previous.log')).catch(() => {});
    await writeFile(path, '');
  }
}

/** Takes the two serial lines. */
async function startHub(directory: string, runDirectory: string, signal?: AbortSignal): Promise<ProcessId> {
  const logs = [boardFiles.serialLog, boardFiles.secureLog].map((file) => join(directory, file));
  return await startHelper('./console-hub.ts', [runDirectory, ...logs], signal);
}

/** Keeps disk and flash as they are, and serves and records them from here on. */
async function startRecorder(
  directory: string,
  runDirectory: string,
  signal?: AbortSignal,
): Promise<ProcessId> {
  for (const medium of media) {
    const { file, start } = mediumFiles[medium];
    await copySparse(join(directory, file), join(directory, start), signal);
  }
  const files = media.map((medium) => join(directory, mediumFiles[medium].file));
  const log = join(directory, boardFiles.writeLog);
  return await startHelper('./writes/record.ts', [join(runDirectory, recorderSocket), log, ...files], signal);
}

/** Starts one of the programs beside the emulator; resolves when it listens. */
async function startHelper(
  program: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<ProcessId> {
  const child = spawn(process.execPath, [fileURLToPath(new URL(program, import.meta.url)), ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
    cwd: '/',
  });
  try {
    await new Promise<void>((resolve, reject) => {
      const deadline = AbortSignal.any([AbortSignal.timeout(startDeadlineMs), ...(signal ? [signal] : [])]);
      deadline.addEventListener('abort', () => reject(deadline.reason));
      child.once('error', reject);
      child.once('exit', (code) => {
        reject(
          new MblError('lab/helper-failed', `The process ${program} ended with code ${code}.`, {
            remedy: `Check that these can be written: ${args.join(' ')}`,
          }),
        );
      });
      child.stdout.once('data', () => resolve());
    });
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  child.stdout.destroy();
  return letGo(child);
}

async function spawnEmulator(
  directory: string,
  name: string,
  image: BoardImage,
  settings: EmulatorSettings,
  detached: boolean,
): Promise<ProcessId> {
  const log = await open(join(directory, boardFiles.emulatorLog), 'a');
  try {
    const command = [image.emulator.binary, ...emulatorArguments(image, settings)];
    // PR_SET_PDEATHSIG: also a SIGKILL of this process takes the emulator along. A session of its own (`detached`) keeps the
    // terminal's Ctrl-C away from it.
    if (!detached) command.unshift('setpriv', '--pdeathsig', 'KILL');
    const [file = '', ...args] = command;
    const child = spawn(file, args, {
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
      cwd: directory,
      env: environmentOfTools(),
    });
    const failure = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
      child.once('spawn', () => resolve(undefined));
      child.once('error', resolve);
    });
    if (failure !== undefined) {
      throw failure.code === 'ENOENT' ? toolMissing(file, 'qemu-system-arm util-linux', failure) : failure;
    }
    return letGo(child);
  } catch (cause) {
    if (cause instanceof MblError) throw cause;
    throw await emulatorFailed(directory, name, cause);
  } finally {
    await log.close();
  }
}

/** Names the child and lets this process end without waiting for it. */
function letGo(child: ChildProcess): ProcessId {
  child.removeAllListeners();
  child.on('error', () => {});
  child.unref();
  const pid = child.pid ?? 0;
  return identifyProcess(pid) ?? { pid, startTicks: -1 };
}

async function emulatorFailed(directory: string, name: string, cause: unknown): Promise<MblError> {
  const log = join(directory, boardFiles.emulatorLog);
  const said = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n').slice(-5).join('\n');
  return new MblError(
    'lab/emulator-failed',
    `The emulator of board ${name} ended at once: ${said || 'it said nothing'}`,
    {
      remedy: `Read ${log}`,
      cause,
      details: { log },
    },
  );
}

async function checkOnPath(command: string, debianPackage: string): Promise<void> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const found = await access(join(folder || '.', command), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return;
  }
  throw toolMissing(command, debianPackage);
}
