// SPDX-License-Identifier: Apache-2.0
import type { Slot } from './boot-state.ts';

/**
 * The state of the boot firmware in its flash (docs/decisions/0021), written by TF-A alone: a log in the area `firmware_state_a`, counters
 * in `firmware_state_b`. `firmware_state.c` in os/firmware/trusted-firmware reads and writes the same.
 */
export interface FirmwareState {
  /** The bank that starts where no trial is asked for. */
  readonly accepted: Slot;
  readonly trial: Slot | undefined;
  /** Starts of the trial that is asked for or runs, or was the last. */
  readonly attempts: number;
  readonly failed: Readonly<Record<Slot, boolean>>;
}

/**
 * `try`: a trial is asked for. `attempt`: a start of it. `failed`: refused by a loader or by who tried it, or it had its attempts.
 * `copied`: it holds what the running one does.
 */
export type FirmwareEvent = 'try' | 'attempt' | 'confirmed' | 'failed' | 'copied';

export interface FirmwareEntry {
  readonly event: FirmwareEvent;
  readonly bank: Slot;
}

const events: readonly FirmwareEvent[] = ['try', 'attempt', 'confirmed', 'failed', 'copied'];
const banks: readonly Slot[] = ['a', 'b'];
const wordSize = 4;
const erased = 0xffff_ffff;

function wordOf(value: number): number {
  return ((~value & 0xffff) * 0x1_0000 + value) >>> 0;
}

/**
 * The entries of a log, from the area's start to its first erased word. A word that is none, as a power cut leaves it, is passed over, and
 * so is an event of a later version.
 */
export function parseFirmwareLog(area: Uint8Array): FirmwareEntry[] {
  const bytes = Buffer.from(area.buffer, area.byteOffset, area.byteLength);
  const entries: FirmwareEntry[] = [];
  for (let at = 0; at + wordSize <= bytes.length; at += wordSize) {
    const word = bytes.readUInt32LE(at);
    if (word === erased) break;
    const value = word & 0xffff;
    const [event, bank] = [events[(value >> 8) - 1], banks[value & 0xff]];
    if (word === wordOf(value) && event !== undefined && bank !== undefined) entries.push({ event, bank });
  }
  return entries;
}

/** The words of a log, for the start of an erased area. */
export function formatFirmwareLog(entries: readonly FirmwareEntry[]): Buffer {
  const bytes = Buffer.alloc(entries.length * wordSize);
  for (const [i, { event, bank }] of entries.entries())
    bytes.writeUInt32LE(wordOf(((events.indexOf(event) + 1) << 8) | banks.indexOf(bank)), i * wordSize);
  return bytes;
}

/** What a log says. */
export function foldFirmwareLog(entries: readonly FirmwareEntry[]): FirmwareState {
  let accepted: Slot = 'a';
  let trial: Slot | undefined;
  let attempts = 0;
  const failed = { a: false, b: false };
  for (const { event, bank } of entries) {
    if (event === 'try') {
      [trial, attempts] = [bank, 0];
    } else if (event === 'attempt') {
      if (trial === bank) attempts++;
    } else if (event === 'confirmed') {
      [accepted, trial] = [bank, undefined];
    } else if (event === 'failed' && trial === bank) trial = undefined;
    if (event !== 'attempt') failed[bank] = event === 'failed';
  }
  return { accepted, trial, attempts, failed };
}

/** Of the firmware's certificates, and of the operating system that it starts. */
export interface FirmwareCounters {
  readonly trusted: number;
  readonly nonTrusted: number;
  readonly os: number;
}

/** What a counter can reach: it uses up a word for each step. */
export const maxFirmwareCounter = 1024;

/** The counters, from the start of their area. */
export function parseFirmwareCounters(area: Uint8Array): FirmwareCounters {
  const bytes = Buffer.from(area.buffer, area.byteOffset, area.byteLength);
  const value = (counter: number): number => {
    let steps = 0;
    const at = (): number => (counter * maxFirmwareCounter + steps) * wordSize;
    while (steps < maxFirmwareCounter && bytes.readUInt32LE(at()) !== erased) steps++;
    return steps;
  };
  return { trusted: value(0), nonTrusted: value(1), os: value(2) };
}

/** The counters as they stand at the start of their area. */
export function formatFirmwareCounters({ trusted, nonTrusted, os }: FirmwareCounters): Buffer {
  const bytes = Buffer.alloc(3 * maxFirmwareCounter * wordSize, 0xff);
  for (const [counter, value] of [trusted, nonTrusted, os].entries()) {
    const start = counter * maxFirmwareCounter * wordSize;
    bytes.fill(0, start, start + value * wordSize);
  }
  return bytes;
}
