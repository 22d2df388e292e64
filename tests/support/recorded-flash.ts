// SPDX-License-Identifier: Apache-2.0
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type FirmwareEntry, parseFirmwareLog } from '@mbl/formats';
import type { Board, WriteLog } from '@mbl/lab';
import { BankChoice, compileBankChoice, flashParts, type SignedFirmware } from './bank-choice.ts';
import { type FlashCommand, flashCommands, FlashFile, type FlashState, flashStates } from './flash-states.ts';
import { type FlashVerdict, judgeFlash, reordered } from './flash-verdict.ts';
import type { FlashOfRun } from './update-verdict.ts';

/** Other code of the board, by changes of its sources: what a judge must find. */
export const careless: Readonly<Record<string, (name: string, text: string) => string>> = {
  'an attempt is not counted': inFile(
    'boot_choice.c',
    'firmware_state_append(state, FIRMWARE_ATTEMPT, bank) == 0',
    '1',
  ),
  'a torn word is taken for what it looks like': inFile(
    'firmware_state.c',
    'word != word_of(event, bank) || ',
    '',
  ),
  'a refusal is not recorded': inFile(
    'refusal.c',
    'firmware_state_append(&state, FIRMWARE_FAILED, bank) == 0',
    '1',
  ),
};

function inFile(file: string, text: string, other: string): (name: string, source: string) => string {
  return (name, source) => {
    if (name !== file) return source;
    const changed = source.replace(text, other);
    if (changed === source) throw new Error(`${file} does not say ${text}`);
    return changed;
  };
}

/** The flash of a recorded run: what was written to it, and what decides on it. */
export class RecordedFlash implements AsyncDisposable, FlashOfRun {
  readonly file: FlashFile;
  readonly choice: BankChoice;
  readonly commands: readonly FlashCommand[];
  readonly states: readonly FlashState[];
  readonly trial: FlashOfRun['trial'];
  readonly #board: Board;
  readonly #folder: string;
  readonly #firmwares: readonly SignedFirmware[];

  private constructor(
    { board, folder, firmwares }: { board: Board; folder: string; firmwares: readonly SignedFirmware[] },
    found: Pick<RecordedFlash, 'file' | 'choice' | 'commands' | 'states' | 'trial'>,
  ) {
    this.#board = board;
    this.#folder = folder;
    this.#firmwares = firmwares;
    this.file = found.file;
    this.choice = found.choice;
    this.commands = found.commands;
    this.states = found.states;
    this.trial = found.trial;
  }

  /** `firmwares`: all that the board was given. `folder` is made, and has room for the flash. */
  static async open(
    board: Board,
    log: WriteLog,
    folder: string,
    firmwares: readonly SignedFirmware[],
  ): Promise<RecordedFlash> {
    await mkdir(folder, { recursive: true });
    const file = await FlashFile.open(board, join(folder, 'flash.bin'), firmwares);
    const program = await compileBankChoice(join(folder, 'as-it-stands'), flashParts(board.image));
    const choice = BankChoice.open(program, file.path, firmwares);
    const commands = await flashCommands(board, log);
    const states = await flashStates(board, file, commands, choice);
    const at = (event: FirmwareEntry['event']): number => {
      const found = commands.find((command) => isEntry(command, event));
      if (found === undefined) throw new Error(`the log of the firmware has no ${event}`);
      return found.issued;
    };
    const trial = { from: at('try'), until: at('confirmed') };
    return new RecordedFlash({ board, folder, firmwares }, { file, choice, commands, states, trial });
  }

  /** Judges the flash alone. */
  async verdict(): Promise<FlashVerdict> {
    return await judgeFlash(this.states, this.file, this.choice, this.#firmwares);
  }

  /** The same with other code: of BL1 and BL31. */
  async verdictWith(name: string): Promise<FlashVerdict> {
    const folder = join(this.#folder, name.replaceAll(' ', '-'));
    const program = await compileBankChoice(folder, flashParts(this.#board.image), careless[name]);
    await using choice = BankChoice.open(program, this.file.path, this.#firmwares);
    // What a torn word says is this code's word.
    const states = await flashStates(this.#board, this.file, this.commands, choice);
    return await judgeFlash(states, this.file, choice, this.#firmwares);
  }

  /** The same with commands in another order. */
  async verdictOf(commands: readonly FlashCommand[]): Promise<FlashVerdict> {
    const states = await flashStates(this.#board, this.file, commands, this.choice);
    return await judgeFlash(states, this.file, this.choice, this.#firmwares);
  }

  /** The orders that must not be, by what is wrong with them. */
  wrongOrders(): Readonly<Record<string, readonly FlashCommand[]>> {
    const { commands } = this;
    const first = (event: FirmwareEntry['event']) => commands.findIndex((command) => isEntry(command, event));
    const confirmed = commands[first('confirmed')];
    const copy = commands.slice(first('confirmed')).find(({ part }) => part === 'bank_a');
    return {
      'counters before the bank is confirmed': reordered(
        commands,
        ({ part }) => part === 'firmware_state_b',
        (command) => command === confirmed,
      ),
      'the old bank written over before the new one is confirmed': reordered(
        commands,
        (command) => command === copy,
        (command) => command === confirmed,
      ),
    };
  }

  /** The run with a firmware that was accepted before `position`, and its counters stored. */
  async confirmedBefore(position: number): Promise<FlashOfRun> {
    const [issued, completed] = [position - 1, position - 1];
    const commands = this.commands.map((command) =>
      command.issued > position && (isEntry(command, 'confirmed') || command.part === 'firmware_state_b')
        ? { ...command, issued, completed }
        : command,
    );
    const states = await flashStates(this.#board, this.file, commands, this.choice);
    return { file: this.file, states, trial: { from: this.trial.from, until: Infinity } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.choice[Symbol.asyncDispose]();
  }
}

/** Whether a command is the one word of the log that says this. */
function isEntry({ part, before, after }: FlashCommand, event: FirmwareEntry['event']): boolean {
  if (part !== 'firmware_state_a') return false;
  const [old, now] = [parseFirmwareLog(before), parseFirmwareLog(after)];
  return now.length > old.length && now.at(-1)?.event === event;
}
