// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { link, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import type { PortForward } from './emulator-arguments.ts';
import { identifyProcess, isAlive, type ProcessId } from './processes.ts';

/** What `run.json` in a board's folder says while the board runs; any process finds the board by it. */
export interface RunState {
  readonly version: 1;
  /** The emulator; while it is being started, the process that starts it. */
  readonly process: ProcessId;
  readonly phase: 'starting' | 'running';
  /** Folder of the sockets. */
  readonly directory: string;
  readonly hub?: ProcessId | undefined;
  /** Serves the media of a recorded run; its log is complete when it has ended. */
  readonly recorder?: ProcessId | undefined;
  readonly forwards: readonly PortForward[];
  /** Power-on, ISO 8601. */
  readonly startedAt: string;
  readonly detached: boolean;
}

const fileName = 'run.json';
const maximumBytes = 64 * 1024;

/** The run that is under way, or undefined when the board is off (a file that a dead run left behind counts as off). */
export function readRunState(directory: string): RunState | undefined {
  const state = readStateFile(directory);
  return state !== undefined && isAlive(state.process) ? state : undefined;
}

/** The last run's file as it stands, alive or not. */
export function readStateFile(directory: string): RunState | undefined {
  try {
    return parseRunState(readFileSync(join(directory, fileName), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Takes the board for this process: of two that start it at the same time, one gets `lab/board-running`. */
export async function claimRun(directory: string, name: string): Promise<void> {
  const path = join(directory, fileName);
  for (;;) {
    const owner = identifyProcess(process.pid) ?? { pid: process.pid, startTicks: 0 };
    const state: RunState = {
      version: 1,
      process: owner,
      phase: 'starting',
      directory: '',
      forwards: [],
      startedAt: new Date().toISOString(),
      detached: false,
    };
    // A link appears with its content or not at all, so nobody takes a half-written claim for a dead one.
    const claim = `${path}.${process.pid}`;
    await writeFile(claim, JSON.stringify(state));
    try {
      await link(claim, path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      await rm(claim, { force: true });
    }
    const running = readRunState(directory);
    if (running !== undefined) {
      throw new MblError(
        'lab/board-running',
        `Board ${name} is running already (process ${running.process.pid}).`,
        {
          remedy: 'Stop it first with: ./mbl down',
          details: { directory, pid: running.process.pid },
        },
      );
    }
    await clearRunState(directory);
  }
}

export async function writeRunState(directory: string, state: RunState): Promise<void> {
  const path = join(directory, fileName);
  await writeFile(`${path}.new`, `${JSON.stringify(state, null, 2)}\n`);
  await rename(`${path}.new`, path);
}

/** Forgets a run that ended, with its sockets. */
export async function clearRunState(directory: string): Promise<void> {
  const state = readStateFile(directory);
  if (state !== undefined && /\/mbl-[A-Za-z0-9]{6}$/.test(state.directory)) {
    await rm(state.directory, { recursive: true, force: true });
  }
  await rm(join(directory, fileName), { force: true });
}

function parseRunState(text: string): RunState | undefined {
  if (text.length > maximumBytes) return undefined;
  const state = JSON.parse(text) as Partial<RunState> | null;
  if (state?.version !== 1 || typeof state.process?.pid !== 'number') return undefined;
  if (typeof state.directory !== 'string' || !Array.isArray(state.forwards)) return undefined;
  return state as RunState;
}
