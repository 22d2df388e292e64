// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import type { CrashState } from '@mbl/lab';
import { bootStateOffsets, bootStateSize, chooseBootState, type Slot } from '@mbl/formats';
import type { TbbrCounters } from '@mbl/trust';
import type { FlashContent, FlashFile, FlashState } from './flash-states.ts';
import type { DiskContent, OfflineBoard, Settled } from './offline-board.ts';
import type { BootStateWrite, Judged, UpdateStates } from './update-states.ts';

/**
 * A recorded run in which slot a ran `before`, `good` came to slot b and was confirmed, then `sick` came to slot a and went back. `index`:
 * the rollback index of `good`, the highest that may count.
 */
export interface RecordedUpdates {
  readonly before: string;
  readonly good: string;
  readonly sick: string;
  readonly index: number;
  /** What `sick` says of itself. */
  readonly reason: RegExp;
  /** What the boot firmware of each has in its certificates. */
  readonly counters: Readonly<Record<string, TbbrCounters>>;
}

/** The writes of the boot state that decide. */
export interface Milestones {
  readonly tryGood: BootStateWrite;
  readonly confirmGood: BootStateWrite;
  readonly trySick: BootStateWrite;
}

export function milestonesOf(writes: readonly BootStateWrite[]): Milestones {
  const find = (from: number, what: string, first: Slot, tried: Slot): BootStateWrite => {
    const found = writes.find(
      ({ issued, state }) =>
        issued > from && state.first === first && state.tried === tried && state.attempts[first] === 0,
    );
    if (found === undefined) throw new Error(`the run has no boot state that ${what}`);
    return found;
  };
  const tryGood = find(0, 'tries slot b', 'b', 'a');
  const confirmGood = find(tryGood.issued, 'confirms slot b', 'b', 'b');
  return { tryGood, confirmGood, trySick: find(confirmGood.issued, 'tries slot a', 'a', 'b') };
}

/** What is wrong with where a board ends that starts from a crash state; undefined: nothing. */
export function complaintOf(
  end: Settled | string,
  until: number,
  { tryGood, confirmGood, trySick }: Milestones,
  run: RecordedUpdates,
): string | undefined {
  if (typeof end === 'string') return `unbootable: ${end}`;
  const { version, slots, update, acceptedIndex } = end;
  if (slots[0] !== slots[1]) return `mixed: the kernel of slot ${slots[0]}, the root of slot ${slots[1]}`;
  const mixed = mixedFirmware(end, run);
  if (mixed !== undefined) return mixed;
  const expected = until > tryGood.durable ? [run.good] : [run.before, run.good];
  if (until <= tryGood.issued) expected.pop();
  if (!expected.includes(version)) return `${version} runs, and not ${expected.join(' or ')}`;
  if (version === run.good && acceptedIndex !== run.index)
    return `${version} was accepted, and the index is ${acceptedIndex}`;
  if (version === run.before && acceptedIndex !== 0) return `the index is ${acceptedIndex} too early`;
  const told = Object.values(update).join(' ').trim();
  const never = told.endsWith('it was never started');
  if (version === run.before)
    // Noted, and the boot state not yet written: a trial that never was.
    return told === 'none' || (never && update.release === run.good) ? undefined : `it tells: ${told}`;
  const fell = update.state === 'fell-back' && update.release === run.sick;
  if (until > trySick.durable)
    return fell && run.reason.test(told) ? undefined : `the trial of ${run.sick} is told as: ${told}`;
  if (told === `confirmed ${run.good}`) return undefined;
  // The note of a trial comes before its boot state.
  if (until > confirmGood.issued && fell && (never || run.reason.test(told))) return undefined;
  return `the trial of ${run.good} is told as: ${told}`;
}

/** A system runs with the firmware that came with it, and with no other; and that firmware's counters are stored. */
function mixedFirmware({ version, firmware, counters }: Settled, run: RecordedUpdates): string | undefined {
  if (firmware !== version) return `mixed: ${version} runs with the firmware of ${firmware}`;
  const { trusted = 0, nonTrusted = 0 } = run.counters[version] ?? {};
  return counters.trusted === trusted && counters.nonTrusted === nonTrusted
    ? undefined
    : `${version} was accepted, and the counters are ${counters.trusted} and ${counters.nonTrusted}`;
}

/** Says so where the slot that is to start first is not whole: it is written, and on the disk, before it is named. */
async function tornFirst({ partitions: { state }, fit, root }: DiskContent): Promise<string | undefined> {
  const bytes = Buffer.alloc(bootStateOffsets[1] + bootStateSize);
  await using file = await open(state.path);
  await file.read(bytes, 0, bytes.length, state.offset);
  const { first } = chooseBootState(bytes).state;
  if (fit[first] !== undefined && fit[first] === root[first]) return undefined;
  return `torn: slot ${first} is to start with the kernel of ${fit[first]} and the root of ${root[first]}`;
}

export interface Verdict {
  /** Of the disk, and of disk and flash together. */
  readonly states: number;
  readonly joint: number;
  /** Contents of the configuration, and whole boards, that were looked at. */
  readonly configurations: number;
  readonly boards: number;
  /** Where the boards ended, and how often. */
  readonly ends: Readonly<Record<string, number>>;
  readonly bad: readonly string[];
}

/** The flash that a board had meanwhile. */
export interface FlashOfRun {
  readonly file: FlashFile;
  readonly states: readonly FlashState[];
  /** Positions of the log within which a firmware is on trial: starts that are lost then must not part it from its system. */
  readonly trial: { readonly from: number; readonly until: number };
}

/** So many starts in a row are lost in a trial: two, after which the firmware has had its attempts and the system has not; or each number. */
const lostStarts = { sampled: [2], all: [1, 2, 3] } as const;

/**
 * Judges crash states, each with every flash that the same cut may leave. `configurations`: of so many contents of the configuration partition,
 * those that most states share and others drawn evenly; states with another one are left out.
 */
export async function judge(
  states: UpdateStates,
  flash: FlashOfRun,
  board: OfflineBoard,
  milestones: Milestones,
  run: RecordedUpdates,
  configurations = Infinity,
): Promise<Verdict> {
  const chosen = choose(states.judged, configurations);
  const updates = new Map<string, Awaited<ReturnType<UpdateStates['update']>>>();
  const ends = new Map<string, Found>();
  const counts: Record<string, number> = {};
  const bad: string[] = [];
  let [judged, joint] = [0, 0];
  const find = async (
    state: CrashState,
    known: string,
    update: Update,
    content: FlashContent,
    lost: number,
  ) => {
    let found = ends.get(known);
    if (found !== undefined) return found;
    const disk = await states.show(state, typeof update === 'string' ? {} : update);
    await flash.file.show(content);
    const end = typeof update === 'string' ? update : await board.settle(disk, lost);
    found = { end, torn: await tornFirst(disk) };
    ends.set(known, found);
    return found;
  };
  for (const { state, key, config } of states.judged) {
    if (!chosen.has(config)) continue;
    judged += 1;
    let update = updates.get(config);
    if (update === undefined) {
      update = await states.update(state).catch((error: unknown) => `unreadable: ${String(error)}`);
      updates.set(config, update);
    }
    for (const { content, from, until } of flashesOf(state, flash)) {
      joint += 1;
      const known = `${key} ${JSON.stringify(update)} ${content.key}`;
      const { end, torn } = await find(state, known, update, content, 0);
      const name =
        typeof end === 'string'
          ? 'none'
          : `${end.version} in ${end.slots[0]} after ${end.starts}, ${end.update.state} ${end.update.release}`.trim();
      counts[name] = (counts[name] ?? 0) + 1;
      const last = Math.min(state.until, until);
      const why = torn ?? complaintOf(end, last, milestones, run);
      if (why !== undefined) bad.push(`${why}: ${state.describe()}; flash ${content.key}`);
      if (Math.max(state.from, from) < flash.trial.from || last > flash.trial.until) continue;
      for (const lost of lostStarts[configurations === Infinity ? 'all' : 'sampled']) {
        const { end: later } = await find(state, `${known} ${lost}`, update, content, lost);
        const mixed = typeof later === 'string' ? `unbootable: ${later}` : mixedFirmware(later, run);
        if (mixed !== undefined) bad.push(`${mixed}, after ${lost} lost starts: ${state.describe()}`);
      }
    }
  }
  return { states: judged, joint, configurations: updates.size, boards: ends.size, ends: counts, bad };
}

type Update = Awaited<ReturnType<UpdateStates['update']>>;

interface Found {
  readonly end: Settled | string;
  readonly torn: string | undefined;
}

/** The flashes that a cut may leave which leaves this disk: one for each content. */
export function flashesOf({ from, until }: CrashState, flash: FlashOfRun): FlashState[] {
  const found = new Map<string, FlashState>();
  for (const state of flash.states)
    if (state.from <= until && state.until >= from) found.set(state.content.key, state);
  return [...found.values()];
}

function choose(judged: readonly Judged[], most: number): Set<string> {
  const counts = new Map<string, number>();
  for (const { config } of judged) counts.set(config, (counts.get(config) ?? 0) + 1);
  const names = [...counts.keys()];
  if (names.length <= most) return new Set(names);
  const shared = names.toSorted((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0)).slice(0, most / 2);
  const step = names.length / (most / 2);
  const spread = Array.from(
    { length: Math.floor(most / 2) },
    (_, index) => names[Math.floor(index * step)] ?? '',
  );
  return new Set([...shared, ...spread]);
}
