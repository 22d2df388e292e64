// SPDX-License-Identifier: Apache-2.0

export type Slot = 'a' | 'b';

/**
 * Which slot is to boot and how it went (docs/decisions/0012). It lies on the partition `state`, written by the boot loader before it
 * starts a slot and by the system once a boot has proved good. Nobody signs it: it chooses only among what is signed.
 */
export interface BootState {
  /** Of the two copies the one with the higher number holds. */
  readonly sequence: number;
  /** The slot that is to boot. */
  readonly first: Slot;
  /** The slot that was started last. */
  readonly tried: Slot;
  /** Starts of each slot since its last good boot, 99 at most. */
  readonly attempts: Readonly<Record<Slot, number>>;
}

/** Bytes of one copy: a sector, which a disk writes whole or not at all. */
export const bootStateSize = 512;

/** Where the two copies begin, in bytes from the start of the partition: each in a page of its own. */
export const bootStateOffsets = [0, 8 * bootStateSize] as const;

/** What holds where no copy is valid. */
export const initialBootState: BootState = { sequence: 0, first: 'a', tried: 'a', attempts: { a: 0, b: 0 } };

const line = /^MBL-BOOT 1 (\d{10}) ([ab]) ([ab]) (\d\d) (\d\d)\n\0*$/;

/** One copy from its sector; undefined when it is not valid. */
export function parseBootState(sector: Uint8Array): BootState | undefined {
  const found = line.exec(Buffer.from(sector).toString('latin1'));
  const [, sequence = '', first = '', tried = '', a = '', b = ''] = found ?? [];
  // 0 stands for "no copy" in the boot loader.
  if (sector.length !== bootStateSize || Number(sequence) === 0) return undefined;
  return {
    sequence: Number(sequence),
    first: first as Slot,
    tried: tried as Slot,
    attempts: { a: Number(a), b: Number(b) },
  };
}

/** The state that holds, from the start of the partition `state`, and the index of the copy that the next writer overwrites. */
export function chooseBootState(partition: Uint8Array): { state: BootState; next: 0 | 1 } {
  const [one, two] = bootStateOffsets.map((at) => parseBootState(partition.subarray(at, at + bootStateSize)));
  if (one !== undefined && one.sequence >= (two?.sequence ?? -1)) return { state: one, next: 1 };
  return { state: two ?? initialBootState, next: 0 };
}

/** The number of the state that follows, which has room in the text. */
export function nextSequence(sequence: number): number {
  return sequence < 9_999_999_999 ? sequence + 1 : 1;
}

/** One copy as it stands in its sector. */
export function formatBootState({ sequence, first, tried, attempts }: BootState): Buffer {
  const count = (slot: Slot): string => String(Math.min(99, attempts[slot])).padStart(2, '0');
  const text = `MBL-BOOT 1 ${String(sequence).padStart(10, '0')} ${first} ${tried} ${count('a')} ${count('b')}\n`;
  return Buffer.concat([Buffer.from(text), Buffer.alloc(bootStateSize - text.length)]);
}
