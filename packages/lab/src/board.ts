// SPDX-License-Identifier: Apache-2.0
import { access, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { boardFiles, mediumFiles, type StartOptions, startEmulator } from './emulator.ts';
import type { BoardImage } from './image.ts';
import { type FlipOptions, findPart, flipBit, type PartOptions, readPart, writePart } from './parts.ts';
import { type CommandResult, isAlive, pause, sendSignal, waitForExit } from './processes.ts';
import { qmp, type QmpCommand } from './qmp.ts';
import { clearRunState, type RunState, readRunState, readStateFile } from './run-state.ts';
import { SerialConsole } from './serial-console.ts';
import { closeSsh, runSsh, type SshOptions, type SshTarget, sshArguments } from './ssh.ts';
import type { CrashState } from './writes/crash-state.ts';
import { type CrashStateOptions, type CrashStates, enumerateCrashStates } from './writes/crash-states.ts';
import { readWriteLog, type WriteLog } from './writes/write-log.ts';

/** What `board.json` in a board's folder says. */
export interface BoardFile {
  readonly version: 1;
  readonly name: string;
  /** The build that the board was made from. */
  readonly imageDirectory: string;
  readonly buildId: string;
  readonly ssh: { readonly user: string; readonly key: string };
}

export interface QuitOptions {
  /** How long the guest may take to shut down before its power is cut; default 60 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const killDeadlineMs = 10_000;
/** Long enough for a handshake on an emulated CPU that runs already. */
const askDeadlineMs = 10_000;
/** How long a guest gets that could be asked by its button alone: it may have none. */
const buttonPatienceMs = 10_000;

/**
 * A virtual board: a folder with its own flash and disk, kept between boots, and at most one emulator that runs them. Objects in many
 * processes may name the same board. Disposing the object that started a board cuts the board's power, unless it was detached.
 */
export class Board {
  readonly directory: string;
  readonly name: string;
  readonly image: BoardImage;
  readonly file: BoardFile;
  /** The normal world's console. */
  readonly serial: SerialConsole;
  /** The secure world's console (OP-TEE). */
  readonly secureSerial: SerialConsole;
  #owned: RunState | undefined;

  constructor(directory: string, file: BoardFile, image: BoardImage) {
    this.directory = directory;
    this.name = file.name;
    this.file = file;
    this.image = image;
    this.serial = this.#console(boardFiles.serialLog, 'console0');
    this.secureSerial = this.#console(boardFiles.secureLog, 'console1');
  }

  /** The run under way, or undefined when the board is off. */
  get run(): RunState | undefined {
    return readRunState(this.directory);
  }

  /** The file of its flash, also while the board runs. */
  get flashPath(): string {
    return join(this.directory, boardFiles.flash);
  }

  get running(): boolean {
    return this.run !== undefined;
  }

  /** Power on. Resolves when the CPU runs; what the board does then is seen on its consoles. */
  async start(options: StartOptions = {}): Promise<void> {
    const state = await startEmulator(this.directory, this.name, this.image, options);
    this.#owned = state.detached ? undefined : state;
    this.serial.close();
    this.secureSerial.close();
  }

  /** The power cut: the emulator is killed between two instructions. Nothing happens when the board is off. */
  async powerOff(): Promise<void> {
    const state = readStateFile(this.directory);
    if (state === undefined) return;
    if (state.phase === 'starting' && isAlive(state.process)) {
      throw new MblError(
        'lab/board-running',
        `Board ${this.name} is being started by process ${state.process.pid}.`,
        {
          remedy: 'Wait a moment and try again.',
        },
      );
    }
    sendSignal(state.process, 'SIGKILL');
    await this.#afterExit(state);
  }

  /**
   * Asks the guest to shut down, by its power button and, where the board's key opens it, by SSH; cuts the power when it does not.
   * Returns whether the guest did it itself.
   */
  async quit(options: QuitOptions = {}): Promise<boolean> {
    const { timeoutMs = 60_000, signal } = options;
    const state = this.run;
    if (state === undefined) {
      await this.powerOff();
      return true;
    }
    const deadline = Date.now() + timeoutMs;
    await this.#qmp([{ execute: 'system_powerdown' }], signal).catch(() => undefined);
    const asked = await this.ssh('systemctl poweroff', {
      timeoutMs: Math.min(timeoutMs, askDeadlineMs),
      signal,
    }).then(
      ({ code }) => code === 0 || code === 255,
      () => false,
    );
    const patience = asked ? deadline - Date.now() : Math.min(timeoutMs, buttonPatienceMs);
    const clean = await waitForExit(state.process, Math.max(0, patience), signal);
    await this.powerOff();
    return clean;
  }

  /** The reset button. */
  async reset(): Promise<void> {
    // First: the emulator spins on a connection that the host closed and the new guest does not know.
    await closeSsh(this.#sshTarget());
    await this.#qmp([{ execute: 'system_reset' }]);
  }

  /** Waits until the board is off; `lab/deadline` when it stays on. */
  async waitForOff(options: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<void> {
    const { timeoutMs = 60_000, signal } = options;
    const state = readStateFile(this.directory);
    if (state === undefined) return;
    if (!(await waitForExit(state.process, timeoutMs, signal))) {
      throw new MblError('lab/deadline', `Board ${this.name} is still on after ${timeoutMs / 1000} s.`, {
        remedy: 'Cut its power with: ./mbl down',
      });
    }
    await this.#afterExit(state);
  }

  /** The cable of the board's network: pulled and plugged in again. */
  readonly network = {
    down: async (): Promise<void> => await this.#setLink(false),
    up: async (): Promise<void> => await this.#setLink(true),
  };

  /** Runs a command in the guest over SSH; see `runSsh` for its errors. */
  async ssh(command: string, options: SshOptions = {}): Promise<CommandResult> {
    return await runSsh(this.#sshTarget(), command, () => this.running, options);
  }

  /** Bytes of a part of the board's flash or disk; see `findPart` for the names. Default: all of it. The board must be off. */
  async readPart(
    name: string,
    options: PartOptions & { offset?: number; length?: number } = {},
  ): Promise<Buffer> {
    this.#requireOff('read');
    const part = await findPart(this.directory, this.image, name, options);
    const { offset = 0, length = part.size - offset } = options;
    return await readPart(this.directory, part, name, offset, length);
  }

  /** Overwrites bytes of a part. The board must be off. */
  async writePart(
    name: string,
    bytes: Uint8Array,
    options: PartOptions & { offset?: number } = {},
  ): Promise<void> {
    this.#requireOff('change');
    const part = await findPart(this.directory, this.image, name, options);
    await writePart(this.directory, part, name, options.offset ?? 0, bytes);
  }

  /** Flips one bit of a part: what an attacker or bad flash does. The board must be off. Returns where, and the byte's values. */
  async flipBit(
    options: FlipOptions,
  ): Promise<{ file: string; offset: number; before: number; after: number }> {
    this.#requireOff('change');
    return await flipBit(this.directory, this.image, options);
  }

  /** The writes of the last run that was started with `recordWrites`; while it runs, those until now. */
  async writeLog(): Promise<WriteLog> {
    return await readWriteLog(await this.#writeLogPath());
  }

  /**
   * What a power cut at any moment of the recorded run may have left on a medium or, by `extent`, in a part of it. `log`: the run as it might
   * have been; default: as it was. Dispose of it after use; errors: those of `writeLog`.
   */
  async crashStates(options: CrashStateOptions & { readonly log?: WriteLog } = {}): Promise<CrashStates> {
    const { log = await this.writeLog(), ...rest } = options;
    const start = join(this.directory, mediumFiles[options.medium ?? 'disk'].start);
    return await enumerateCrashStates(log, start, rest);
  }

  /** Makes a whole medium hold one of its states; `states` are those of all of it. The board must be off. */
  async restoreCrashState(states: CrashStates, state: CrashState): Promise<void> {
    this.#requireOff('change');
    const file = join(this.directory, mediumFiles[states.medium].file);
    const work = `${file}.crash`;
    try {
      {
        await using copy = await states.open(work);
        await copy.show(state);
      }
      await rename(work, file);
    } finally {
      await rm(work, { force: true });
    }
  }

  /** Arguments for the program `ssh` that reach this board. */
  sshArguments(): string[] {
    return sshArguments(this.#sshTarget());
  }

  /** The port at 127.0.0.1 that leads to a port of the guest, as given to `start`. */
  hostPort(guest: number): number {
    const port = this.#state().forwards.find((forward) => forward.guest === guest)?.host;
    if (port === undefined) {
      throw new MblError('lab/no-forward', `Board ${this.name} forwards no port to its port ${guest}.`, {
        remedy: 'Name the port when the board is started.',
      });
    }
    return port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.serial.close();
    this.secureSerial.close();
    if (this.#owned !== undefined && isAlive(this.#owned.process)) await this.powerOff();
    this.#owned = undefined;
  }

  /** The socket of the serial console while the board runs. */
  get consolePath(): string | undefined {
    const state = this.run;
    return state === undefined ? undefined : join(state.directory, 'console0');
  }

  #requireOff(verb: string): void {
    if (!this.running) return;
    throw new MblError(
      'lab/board-running',
      `Board ${this.name} is running; nobody may ${verb} its disk now.`,
      {
        remedy: 'Stop it first with: ./mbl down',
      },
    );
  }

  async #writeLogPath(): Promise<string> {
    const path = join(this.directory, boardFiles.writeLog);
    await access(path).catch((cause: unknown) => {
      throw new MblError('lab/not-recorded', `No run of board ${this.name} recorded its writes.`, {
        remedy: 'Start the board with recordWrites.',
        cause,
      });
    });
    return path;
  }

  #state(): RunState {
    const state = this.run;
    if (state !== undefined && state.phase === 'running') return state;
    throw new MblError('lab/board-stopped', `Board ${this.name} is not running.`, {
      remedy: 'Start it with: ./mbl run',
    });
  }

  #sshTarget(): SshTarget {
    const state = this.#state();
    return {
      boardName: this.name,
      ...this.file.ssh,
      port: this.hostPort(22),
      controlPath: join(state.directory, 'ssh'),
    };
  }

  async #setLink(up: boolean): Promise<void> {
    await this.#qmp([{ execute: 'set_link', arguments: { name: 'network0', up } }]);
  }

  async #qmp(commands: readonly QmpCommand[], signal?: AbortSignal): Promise<unknown[]> {
    const state = this.#state();
    return await qmp(join(state.directory, 'qmp'), commands, {
      signal,
      gaveUp: () => !isAlive(state.process),
    });
  }

  /** Waits for all processes, so that disk and logs are complete, and forgets the run. */
  async #afterExit(state: RunState): Promise<void> {
    if (!(await waitForExit(state.process, killDeadlineMs))) {
      throw new MblError(
        'lab/deadline',
        `The emulator of board ${this.name} (process ${state.process.pid}) does not die.`,
        { remedy: `See what it waits for: cat /proc/${state.process.pid}/stack` },
      );
    }
    for (const helper of [state.hub, state.recorder]) {
      if (helper !== undefined && !(await waitForExit(helper, killDeadlineMs))) sendSignal(helper, 'SIGKILL');
    }
    await clearRunState(this.directory);
    // An exit is seen by the process table before Node has it; a turn of the loop lets the child be reaped.
    await pause(0);
  }

  #console(log: string, socket: string): SerialConsole {
    return new SerialConsole({
      boardName: this.name,
      logPath: join(this.directory, log),
      socketPath: () => {
        const state = this.run;
        return state === undefined ? undefined : join(state.directory, socket);
      },
      isLive: () => {
        const state = readStateFile(this.directory);
        if (state === undefined) return false;
        return isAlive(state.process) || (state.hub !== undefined && isAlive(state.hub));
      },
    });
  }
}
