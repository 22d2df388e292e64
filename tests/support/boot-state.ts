// SPDX-License-Identifier: Apache-2.0
import type { Board } from '@mbl/lab';

/** The two copies of the boot state lie on pages of their own (docs/decisions/0012-storage-and-boot-state.md). */
export const copyOffset = 4096;

const sector = 512;

/** One copy of the boot state, a sector. `attempts`: of slot a, of slot b. */
export function bootState(options: {
  sequence: number;
  first?: 'a' | 'b';
  tried?: 'a' | 'b';
  attempts?: readonly [number, number];
}): Buffer {
  const { sequence, first = 'a', tried = 'a', attempts = [0, 0] } = options;
  const digits = (value: number, count: number): string => String(value).padStart(count, '0');
  const counts = attempts.map((count) => digits(count, 2)).join(' ');
  const bytes = Buffer.alloc(sector);
  bytes.write(`MBL-BOOT 1 ${digits(sequence, 10)} ${first} ${tried} ${counts}\n`);
  return bytes;
}

/** The text of the two copies on the disk of a board that is off; empty where a copy was never written. */
export async function readBootStates(board: Board): Promise<string[]> {
  const state = await board.readPart('state', { length: copyOffset + sector });
  const text = (at: number): string => state.toString('latin1', at, at + sector).replace(/\n?\0*$/, '');
  return [text(0), text(copyOffset)];
}
