// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { keepSecondCopy, settleFirmware } from '@mbl/device';
import type { FirmwareCounters, Slot } from '@mbl/formats';
import type { BankChoice, FirmwareStart, SignedFirmware } from './bank-choice.ts';
import type { FlashCommand, FlashContent, FlashFile, FlashState } from './flash-states.ts';

/** More starts than a trial has. */
const lostStarts = 5;

/** What a board does that has such a flash. */
interface Outcome {
  /** Starts in a row of which nobody confirms one. */
  readonly lost: readonly (FirmwareStart | undefined)[];
  /** The first start, where the system proves good, and what is stored then. */
  readonly good: FirmwareStart | undefined;
  readonly stored: FirmwareCounters | undefined;
  /** Starts after that, each with one of the banks damaged. */
  readonly damaged: readonly (FirmwareStart | undefined)[];
}

export interface FlashVerdict {
  readonly states: number;
  /** Flashes that a board can tell apart. */
  readonly contents: number;
  readonly bad: readonly string[];
}

/** Judges crash states of the flash alone; `choice` reads the same file. */
export async function judgeFlash(
  states: readonly FlashState[],
  file: FlashFile,
  choice: BankChoice,
  firmwares: readonly SignedFirmware[],
): Promise<FlashVerdict> {
  const outcomes = new Map<string, Outcome>();
  const bad: string[] = [];
  let count = 0;
  for (const state of states) {
    count += state.count;
    let outcome = outcomes.get(state.content.key);
    if (outcome === undefined) {
      outcome = await outcomeOf(state.content, file, choice);
      outcomes.set(state.content.key, outcome);
    }
    const why = complaintOf(state, outcome, firmwares);
    if (why !== undefined) bad.push(`${why}: ${state.what}`);
  }
  return { states: count, contents: outcomes.size, bad };
}

async function outcomeOf(content: FlashContent, file: FlashFile, choice: BankChoice): Promise<Outcome> {
  const lost: (FirmwareStart | undefined)[] = [];
  await file.show(content);
  for (let starts = 0; starts < lostStarts; starts++) {
    lost.push(await choice.start());
    await choice.powerOff();
  }
  await file.show(content);
  const good = await choice.start();
  if (good === undefined) return { lost, good, stored: undefined, damaged: [] };
  await choice.systemStarts(0);
  await settleFirmware(choice.banks, undefined, 'a');
  await keepSecondCopy(choice.banks);
  await choice.powerOff();
  const stored = await choice.counters();
  const damaged: (FirmwareStart | undefined)[] = [];
  for (const bank of ['a', 'b'] as const) {
    const whole = await damage(file, bank);
    damaged.push(await choice.start());
    await choice.powerOff();
    await whole();
  }
  return { lost, good, stored, damaged };
}

/** Returns what makes the flash what it was. */
async function damage({ path, parts }: FlashFile, bank: Slot): Promise<() => Promise<void>> {
  const pieces = [
    { ...parts[`bank_${bank}`], size: 4096 },
    { ...parts.firmware_state_a, size: 4096 },
  ];
  await using flash = await open(path, 'r+');
  const held: Buffer[] = [];
  for (const { offset, size } of pieces) {
    const bytes = Buffer.alloc(size);
    await flash.read(bytes, 0, size, offset);
    held.push(bytes);
  }
  await flash.write(Buffer.alloc(4096), 0, 4096, parts[`bank_${bank}`].offset);
  return async () => {
    await using again = await open(path, 'r+');
    for (const [index, { offset, size }] of pieces.entries())
      await again.write(held[index] ?? Buffer.alloc(0), 0, size, offset);
  };
}

const atLeast = (a: FirmwareCounters, b: FirmwareCounters): boolean =>
  a.trusted >= b.trusted && a.nonTrusted >= b.nonTrusted && a.os >= b.os;

function complaintOf(
  { content, durable }: FlashState,
  { lost, good, stored, damaged }: Outcome,
  firmwares: readonly SignedFirmware[],
): string | undefined {
  const all = [...lost, good, ...damaged];
  if (good === undefined || stored === undefined || all.includes(undefined)) return 'unbootable';
  if (all.some((start) => start?.both === true)) return 'unbootable: both banks had failed';
  const { counters, accepted } = durable;
  if (!atLeast(content.counters, counters)) return 'forgotten: a counter went back';
  const last = lost.at(-1);
  if (last?.version !== accepted || last?.attempt !== 0)
    return `after lost starts ${last?.version} runs, and ${accepted} was accepted`;
  const own = firmwares.find(({ version }) => version === accepted)?.counters;
  if (own === undefined || !atLeast({ ...own, os: content.counters.os }, content.counters))
    return `a counter is above that of ${accepted}, which was accepted`;
  const carried = firmwares.find(({ version }) => version === good.version)?.counters;
  if (carried === undefined || !atLeast(stored, { ...carried, os: 0 }))
    return `forgotten: ${good.version} proved good, and its counters are not stored`;
  if (damaged.some((start) => start?.version !== good.version))
    return `with a damaged bank ${damaged.map((start) => start?.version).join(' or ')} runs, and not ${good.version}`;
  return undefined;
}

/**
 * A recorded run as it would have been with other code: the commands that `moves` takes come before the first that `before` finds. Each has
 * the place in the log of the one that was there.
 */
export function reordered(
  commands: readonly FlashCommand[],
  moves: (command: FlashCommand) => boolean,
  before: (command: FlashCommand) => boolean,
): FlashCommand[] {
  const at = commands.findIndex(before);
  const moved = commands.filter((command, index) => index > at && moves(command));
  if (at < 0 || moved.length === 0) throw new Error('there is nothing to move');
  const rest = commands.filter((command) => !moved.includes(command));
  return rest.toSpliced(at, 0, ...moved).map((command, index) => {
    const { issued = 0, completed = 0 } = commands[index] ?? {};
    return { ...command, issued, completed };
  });
}
