// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { PlacedPartition } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';
import { type Partition, partitionTypes } from '../recipes/machine.ts';

const sector = 512;
const alignment = 1024 * 1024;

/** Where the partitions go: one behind the other, each at a multiple of 1 MiB, room for a GPT at both ends. */
export function placePartitions(partitions: readonly Pick<Partition, 'name' | 'size'>[]): {
  readonly placed: readonly PlacedPartition[];
  readonly diskSize: number;
} {
  let offset = alignment;
  const placed = partitions.map(({ name, size }) => {
    const length = Math.ceil(size / alignment) * alignment;
    const partition = { name, offset, size: length };
    offset += length;
    return partition;
  });
  return { placed, diskSize: offset + alignment };
}

/** A GUID that depends on nothing but its name, in the form of RFC 9562 §5.8 (version 8). */
export function namedGuid(name: string): string {
  const bytes = createHash('sha256').update(`mbl:${name}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Makes `path` a disk of `size` bytes with a GPT (UEFI 2.10 §5.3) and empty partitions; sparse. */
export async function createDisk(
  path: string,
  machine: string,
  partitions: readonly Partition[],
): Promise<readonly PlacedPartition[]> {
  const { placed, diskSize } = placePartitions(partitions);
  await using file = await open(path, 'wx');
  await file.truncate(diskSize);
  const args = ['--clear', '--disk-guid', namedGuid(`${machine} disk`)];
  for (const [i, { name, offset, size }] of placed.entries()) {
    const n = i + 1;
    const type = partitionTypes[partitions[i]?.type ?? 'linux'];
    args.push('--new', `${n}:${offset / sector}:${(offset + size) / sector - 1}`);
    args.push('--change-name', `${n}:${name}`, '--typecode', `${n}:${type}`);
    args.push('--partition-guid', `${n}:${namedGuid(`${machine} ${name}`)}`);
  }
  await runCommand('sgdisk', [...args, path]);
  return placed;
}

/** The partition of that name. Throws `builder/no-partition`. */
export function partitionNamed(placed: readonly PlacedPartition[], name: string): PlacedPartition {
  const found = placed.find((partition) => partition.name === name);
  if (found !== undefined) return found;
  throw new MblError('builder/no-partition', `the machine has no partition "${name}"`, {
    remedy: 'Add it under partitions in the machine file.',
  });
}
