// SPDX-License-Identifier: Apache-2.0
import { bootStateOffsets, bootStateSize, formatBootState, type Slot } from '@mbl/formats';
import type { Board } from '@mbl/lab';

/** Where the second copy of the boot state begins; the first one is at 0. */
export const copyOffset = bootStateOffsets[1];

/** One copy of the boot state, a sector. `attempts`: of slot a, of slot b. */
export function bootState(options: {
  sequence: number;
  first?: Slot;
  tried?: Slot;
  attempts?: readonly [number, number];
}): Buffer {
  const { sequence, first = 'a', tried = 'a', attempts: [a, b] = [0, 0] } = options;
  return formatBootState({ sequence, first, tried, attempts: { a, b } });
}

/** The text of the two copies on the disk of a board that is off; empty where a copy was never written. */
export async function readBootStates(board: Board): Promise<string[]> {
  const state = await board.readPart('state', { length: copyOffset + bootStateSize });
  return bootStateOffsets.map((at) =>
    state.toString('latin1', at, at + bootStateSize).replace(/\n?\0*$/, ''),
  );
}
