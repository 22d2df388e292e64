// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { BlockDisk } from '../devices.ts';
import type { GroupHasher } from '../groups.ts';
import { BLOCK_SIZE, FANOUT, treeLevels, treeSize } from '../layout.ts';
import type { PayloadIndex } from '../payload/format.ts';
import { isGroup } from './digests.ts';

/** Blocks that an image takes with its hash tree behind it. */
export function slotBlocks(dataBlocks: number): number {
  return dataBlocks + treeSize(dataBlocks) / BLOCK_SIZE;
}

/** Whatever a disk throws, as `blocks/disk-failed`; an abort stays what it is. */
export async function onDisk<T>(disk: BlockDisk, work: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    signal.throwIfAborted();
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new MblError('blocks/disk-failed', `${disk.name} cannot be read or written: ${what}`, {
      remedy: 'The running slot is as it was. Check the disk, then start the transfer again.',
      cause,
    });
  }
}

/** By group: 1 where the disk has it. What an earlier run wrote is found by what is there, not by what it said of itself. */
export async function findDone(
  index: PayloadIndex,
  hasher: GroupHasher,
  disk: BlockDisk,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const done = new Uint8Array(hasher.groups);
  const buffer = Buffer.alloc(FANOUT * BLOCK_SIZE);
  for (let group = 0; group < hasher.groups; group += 1) {
    const data = buffer.subarray(0, hasher.sizeOf(group) * BLOCK_SIZE);
    // A sector that cannot be read may still be written.
    const read = await disk.read(group * FANOUT, data, signal).then(
      () => true,
      () => false,
    );
    signal.throwIfAborted();
    if (read && isGroup(index, hasher, group, hasher.hashBlock(data))) done[group] = 1;
  }
  return done;
}

/**
 * Reads all data back from the medium, writes the hash tree made of what was read (not where `tree` is false), and reads that back too: what is on the disk
 * then leads to the root hash. Throws `blocks/disk-wrong` when the disk gives back something else than what was written, `blocks/disk-failed`.
 */
export async function seal(
  index: PayloadIndex,
  hasher: GroupHasher,
  disk: BlockDisk,
  tree: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { dataBlocks } = index;
  const buffer = Buffer.alloc(FANOUT * BLOCK_SIZE);
  const levels = tree ? treeLevels(dataBlocks) : [];
  const level0 = dataBlocks + (levels[0]?.start ?? 0);
  await onDisk(disk, disk.flush(signal), signal);
  for (let group = 0; group < hasher.groups; group += 1) {
    const data = buffer.subarray(0, hasher.sizeOf(group) * BLOCK_SIZE);
    await onDisk(disk, disk.read(group * FANOUT, data, signal), signal);
    const hashBlock = hasher.hashBlock(data);
    if (!isGroup(index, hasher, group, hashBlock)) throw wrong(disk, `blocks from ${group * FANOUT} on`);
    if (levels.length > 0) await onDisk(disk, disk.write(level0 + group, hashBlock, signal), signal);
  }
  if (levels.length === 0) return;
  const upper = hasher.upperLevels(index.groupDigests);
  if (upper.length > 0) await onDisk(disk, disk.write(dataBlocks, upper, signal), signal);
  await onDisk(disk, disk.flush(signal), signal);
  const back = Buffer.alloc(upper.length);
  if (back.length > 0) await onDisk(disk, disk.read(dataBlocks, back, signal), signal);
  if (!back.equals(upper)) throw wrong(disk, 'the upper levels of the hash tree');
  const hashBlock = Buffer.alloc(BLOCK_SIZE);
  for (let group = 0; group < hasher.groups; group += 1) {
    await onDisk(disk, disk.read(level0 + group, hashBlock, signal), signal);
    if (!isGroup(index, hasher, group, hashBlock)) throw wrong(disk, `hash block ${group}`);
  }
}

function wrong(disk: BlockDisk, what: string): MblError {
  return new MblError(
    'blocks/disk-wrong',
    `${disk.name} does not give back what was written to it: ${what}.`,
    {
      remedy: 'Start the transfer again; when it fails again the disk is worn out or damaged.',
    },
  );
}
