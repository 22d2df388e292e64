// SPDX-License-Identifier: Apache-2.0
//
// Calls this start a good one: docs/decisions/0012. Every block of the root is read first, so that one that fails its check restarts the
// board (dm-verity, restart_on_corruption) while its start still counts as an attempt.
import { constants, open } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import {
  type BootState,
  bootStateOffsets,
  bootStateSize,
  chooseBootState,
  formatBootState,
  nextSequence,
} from '@mbl/formats';

/** Reads a file or device to its end. Returns its size in bytes; throws what a read throws. */
export async function readWhole(path: string): Promise<number> {
  await using file = await open(path);
  const chunk = Buffer.alloc(1024 * 1024);
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
    if (bytesRead === 0) return position;
    position += bytesRead;
  }
}

/** Writes that the slot which was started last is good and the one to start first. Nothing is written when that stands there. */
export async function confirmBoot(partition: string): Promise<BootState> {
  // Node's permission model has no fsync.
  await using file = await open(partition, constants.O_RDWR | constants.O_DSYNC);
  const size = bootStateOffsets[1] + bootStateSize;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
  const { state, next } = chooseBootState(buffer.subarray(0, bytesRead));
  if (state.first === state.tried && state.attempts[state.tried] === 0) return state;
  const good: BootState = {
    sequence: nextSequence(state.sequence),
    first: state.tried,
    tried: state.tried,
    attempts: { ...state.attempts, [state.tried]: 0 },
  };
  // The copy that holds stays as it is until this one is on the disk.
  await file.write(formatBootState(good), 0, bootStateSize, bootStateOffsets[next]);
  // After the last number the count begins anew, and beside that number no other would ever hold.
  if (good.sequence < state.sequence)
    await file.write(formatBootState(good), 0, bootStateSize, bootStateOffsets[next === 0 ? 1 : 0]);
  return good;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      root: { type: 'string', default: '/dev/mapper/root' },
      state: { type: 'string', default: '/run/mbl/disk/state' },
    },
  });
  const size = await readWhole(values.root);
  const { tried } = await confirmBoot(values.state);
  process.stdout.write(`slot ${tried} is good: ${size} bytes of the root read\n`);
}
