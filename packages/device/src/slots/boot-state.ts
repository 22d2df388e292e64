// SPDX-License-Identifier: Apache-2.0
import { constants, open } from 'node:fs/promises';
import {
  type BootState,
  bootStateOffsets,
  bootStateSize,
  chooseBootState,
  formatBootState,
  nextSequence,
  type Slot,
} from '@mbl/formats';

const partitionBytes = bootStateOffsets[1] + bootStateSize;

/** The state that holds on the partition `state`, where `path` is. Throws what a read throws. */
export async function readBootState(path: string): Promise<BootState> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(partitionBytes), 0, partitionBytes, 0);
  return chooseBootState(buffer.subarray(0, bytesRead)).state;
}

/**
 * Writes the state that `change` makes of the one that holds; it is on the disk once this resolved. Nothing is written where `change`
 * gives back what it was given. A power cut leaves the one or the other.
 */
export async function changeBootState(
  path: string,
  change: (state: BootState) => Omit<BootState, 'sequence'>,
): Promise<BootState> {
  // Node's permission model has no fsync.
  await using file = await open(path, constants.O_RDWR | constants.O_DSYNC);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(partitionBytes), 0, partitionBytes, 0);
  const { state, next } = chooseBootState(buffer.subarray(0, bytesRead));
  const changed = change(state);
  if (changed === state) return state;
  const written: BootState = { ...changed, sequence: nextSequence(state.sequence) };
  // The copy that holds stays as it is until this one is on the disk.
  await file.write(formatBootState(written), 0, bootStateSize, bootStateOffsets[next]);
  // After the last number the count begins anew, and beside that number no other would ever hold.
  if (written.sequence < state.sequence)
    await file.write(formatBootState(written), 0, bootStateSize, bootStateOffsets[next === 0 ? 1 : 0]);
  return written;
}

export function otherSlot(slot: Slot): Slot {
  return slot === 'a' ? 'b' : 'a';
}

/** The slot that was started last is good and the one to start first. */
export function confirmed(state: BootState): BootState {
  if (state.first === state.tried && state.attempts[state.tried] === 0) return state;
  return { ...state, first: state.tried, attempts: { ...state.attempts, [state.tried]: 0 } };
}

/** `slot` is the one to start first, and was not tried yet. */
export function onTrial(state: BootState, slot: Slot): BootState {
  return { ...state, first: slot, attempts: { ...state.attempts, [slot]: 0 } };
}

/** The other slot comes first again, as one that was never tried in vain. */
export function rejected(state: BootState, slot: Slot): BootState {
  const back = otherSlot(slot);
  return { ...state, first: back, attempts: { ...state.attempts, [back]: 0 } };
}
