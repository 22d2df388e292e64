// SPDX-License-Identifier: Apache-2.0
import { copyFile, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Extent,
  type FirmwareCounters,
  foldFirmwareLog,
  parseFirmwareCounters,
  parseFirmwareLog,
  type Slot,
} from '@mbl/formats';
import type { Board, WriteLog } from '@mbl/lab';
import { type BankChoice, type FlashParts, flashParts, type SignedFirmware } from './bank-choice.ts';

/** A command to the flash as a recorded run shows it: what its range held before, and holds after it. */
export interface FlashCommand {
  readonly kind: 'erase' | 'program';
  readonly part: keyof FlashParts;
  readonly offset: number;
  readonly before: Buffer;
  readonly after: Buffer;
  /** Positions of the log. The chips take one command after the other. */
  readonly issued: number;
  readonly completed: number;
}

const wordBytes = 4;
const erasedWord = 0xffff_ffff;
/** Of a command that changes many words, so many ways to be cut. */
const tears = 4;

/** The commands of a recorded run, in their order; those that changed nothing are left out. */
export async function flashCommands(board: Board, log: WriteLog): Promise<FlashCommand[]> {
  const parts = flashParts(board.image);
  const flash = await readFile(join(board.directory, 'flash.start.bin'));
  await using file = await open(log.path);
  const commands: FlashCommand[] = [];
  let last = -1;
  for (const request of log.requests) {
    if (request.medium !== 'flash' || request.operation !== 'write') continue;
    const { offset, length, issued, completed = log.records, dataOffset } = request;
    if (issued < last) throw new Error('two commands to the flash at once');
    last = completed;
    const after = Buffer.alloc(length);
    await file.read(after, 0, length, dataOffset);
    const before = Buffer.from(flash.subarray(offset, offset + length));
    if (before.equals(after)) continue;
    after.copy(flash, offset);
    const part = Object.entries(parts).find(
      ([, extent]) => offset >= extent.offset && offset + length <= extent.offset + extent.size,
    )?.[0] as keyof FlashParts | undefined;
    if (part === undefined) throw new Error(`a write to the flash at ${offset}, where nothing is written`);
    const kind = after.every((byte) => byte === 0xff) ? 'erase' : 'program';
    commands.push({ kind, part, offset, before, after, issued, completed });
  }
  return commands;
}

/** What the flash may hold after a power cut. */
export interface FlashState {
  readonly content: FlashContent;
  /** Positions of the log between which the power went. */
  readonly from: number;
  readonly until: number;
  /** How many contents are like this one: those in which a word of the log is torn so that it says the same. */
  readonly count: number;
  /** What stands whatever happens to the command that is cut: what is stored, and the version of the accepted bank. */
  readonly durable: { readonly counters: FirmwareCounters; readonly accepted: string | undefined };
  readonly what: string;
}

/** All of it that decides, shared by the states that agree in it. */
export interface FlashContent {
  readonly key: string;
  readonly version: Readonly<Record<Slot, string | undefined>>;
  readonly counters: FirmwareCounters;
  readonly bank_a: Buffer;
  readonly bank_b: Buffer;
  readonly firmware_state_a: Buffer;
  readonly firmware_state_b: Buffer;
}

/** What is looked at of the two blocks of state. */
const stateBytes = 16_384;

/** A flash in a file, put into one state after the other. */
export class FlashFile {
  readonly path: string;
  readonly parts: FlashParts;
  readonly #firmwares: readonly (readonly [version: string, bytes: Buffer])[];
  readonly #banks = new Map<string, Buffer>();
  readonly #contents = new Map<string, FlashContent>();

  private constructor(path: string, parts: FlashParts, firmwares: readonly (readonly [string, Buffer])[]) {
    this.path = path;
    this.parts = parts;
    this.#firmwares = firmwares;
  }

  static async open(board: Board, path: string, firmwares: readonly SignedFirmware[]): Promise<FlashFile> {
    await copyFile(join(board.directory, 'flash.start.bin'), path);
    const known = await Promise.all(
      firmwares.map(async ({ version, path: fip }) => [version, await readFile(fip)] as const),
    );
    return new FlashFile(path, flashParts(board.image), known);
  }

  /** What stands there, by what each bank holds: the same object for the same content. */
  contentOf(flash: Buffer): FlashContent {
    const part = ({ offset, size }: Extent, most = size): Buffer =>
      flash.subarray(offset, offset + Math.min(size, most));
    const bank = (name: 'bank_a' | 'bank_b'): { version: string | undefined; bytes: Buffer } => {
      const bytes = part(this.parts[name]);
      const version = this.#firmwares.find(([, fip]) => fip.equals(bytes.subarray(0, fip.length)))?.[0];
      const key = `${name} ${version}`;
      let kept = this.#banks.get(key);
      if (kept === undefined) this.#banks.set(key, (kept = Buffer.from(bytes)));
      return { version, bytes: kept };
    };
    const [a, b] = [bank('bank_a'), bank('bank_b')];
    const [log, counters] = [
      part(this.parts.firmware_state_a, stateBytes),
      part(this.parts.firmware_state_b, stateBytes),
    ];
    let words = 0;
    while (log.readUInt32LE(words) !== erasedWord) words += wordBytes;
    const said = log.subarray(0, words).toString('hex');
    const values = parseFirmwareCounters(counters);
    const key = `${a.version} ${b.version} ${said} ${Object.values(values).join(' ')}`;
    let content = this.#contents.get(key);
    if (content === undefined) {
      content = {
        key,
        version: { a: a.version, b: b.version },
        counters: values,
        bank_a: a.bytes,
        bank_b: b.bytes,
        firmware_state_a: Buffer.from(log),
        firmware_state_b: Buffer.from(counters),
      };
      this.#contents.set(key, content);
    }
    return content;
  }

  async show(content: FlashContent): Promise<void> {
    await using file = await open(this.path, 'r+');
    for (const [name, { offset }] of Object.entries(this.parts) as [keyof FlashParts, Extent][]) {
      const bytes = content[name];
      await file.write(bytes, 0, bytes.length, offset);
    }
  }
}

/**
 * Every state that a cut between or within the commands may leave: the words of a command are programmed in some order, and the last ones by
 * halves; an erase leaves any bits. `choice` reads the same file, and says what a torn word of the log means.
 */
export async function flashStates(
  board: Board,
  file: FlashFile,
  commands: readonly FlashCommand[],
  choice: BankChoice,
): Promise<FlashState[]> {
  const flash = await readFile(join(board.directory, 'flash.start.bin'));
  const random = generator(1);
  const states: FlashState[] = [];
  let from = 0;
  let durable = durableOf(file.contentOf(flash));
  const add = (span: { from: number; until: number; count?: number }, what: string): void => {
    states.push({ count: 1, ...span, content: file.contentOf(flash), durable, what });
  };
  for (const [index, command] of commands.entries()) {
    const { kind, part, offset, before, after, issued, completed } = command;
    const what = `${kind} at ${offset} (${part})`;
    durable = durableOf(file.contentOf(flash));
    add({ from, until: issued }, `before ${what}`);
    const torn = async (bytes: Buffer, count = 1): Promise<void> => {
      bytes.copy(flash, offset);
      add({ from: issued, until: completed, count }, `within ${what}`);
    };
    const word = singleWord(command);
    if (part === 'firmware_state_a' && word !== undefined) {
      await file.show(file.contentOf(flash));
      const now = after.readUInt32LE(word);
      const { count, examples } = await choice.tornWords(offset + word, now);
      for (const [at, example] of examples.entries()) {
        const bytes = Buffer.from(before);
        bytes.writeUInt32LE(example, word);
        await torn(bytes, at === 0 ? count - examples.length + 1 : 1);
      }
    } else for (const bytes of tearsOf(command, random)) await torn(bytes);
    after.copy(flash, offset);
    from = issued;
    durable = durableOf(file.contentOf(flash));
    if (index === commands.length - 1) add({ from, until: Infinity }, `after ${what}`);
  }
  return states;
}

function durableOf({ counters, version, firmware_state_a: log }: FlashContent): FlashState['durable'] {
  return { counters, accepted: version[foldFirmwareLog(parseFirmwareLog(log)).accepted] };
}

/** Where the only word lies that a command changes; undefined: several do. */
function singleWord({ kind, before, after }: FlashCommand): number | undefined {
  if (kind === 'erase') return undefined;
  const changed = changedWords(before, after);
  return changed.length === 1 ? changed[0] : undefined;
}

function changedWords(before: Buffer, after: Buffer): number[] {
  const changed: number[] = [];
  for (let at = 0; at < before.length; at += wordBytes)
    if (before.readUInt32LE(at) !== after.readUInt32LE(at)) changed.push(at);
  return changed;
}

function* tearsOf({ kind, before, after }: FlashCommand, random: () => number): Generator<Buffer> {
  if (kind === 'erase') {
    // An erase programs all bits to 0 first, and then frees them; how far it came differs from bit to bit.
    yield Buffer.alloc(before.length);
    for (let tear = 1; tear < tears; tear++) {
      const bytes = Buffer.from(before);
      const most = tear / tears;
      for (let at = 0; at < bytes.length; at += wordBytes)
        if (random() < most * 2 ** 32) bytes.writeUInt32LE(random(), at);
      yield bytes;
    }
    return;
  }
  const changed = changedWords(before, after);
  for (let tear = 0; tear < tears; tear++) {
    const bytes = Buffer.from(before);
    // The whole words until there, or any; then one of which some bits are still 1.
    const whole = Math.floor((changed.length * tear) / tears);
    for (const [index, at] of changed.entries()) {
      if (tear % 2 === 0 ? index < whole : random() % 2 === 0)
        bytes.writeUInt32LE(after.readUInt32LE(at), at);
      else if (index === whole || tear === tears - 1)
        bytes.writeUInt32LE(((random() & before.readUInt32LE(at)) | after.readUInt32LE(at)) >>> 0, at);
    }
    yield bytes;
  }
}

/** Numbers of 32 bits, the same each time (xorshift32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
