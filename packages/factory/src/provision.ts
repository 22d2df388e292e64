// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { constants, type FileHandle, open, stat } from 'node:fs/promises';
import type { PlacedPartition } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { findBackup, readGpt, renewGuids, writeAll } from './gpt.ts';
import { type FactoryFiles, packFactory, type PackOptions } from './pack.ts';

export interface ProvisionOptions extends PackOptions {
  /** A disk image, or a block device that nobody has mounted, which holds an image of MBL. */
  readonly disk: string;
  /** What goes onto the factory partition, `factory.json` and more; absent: it stays as it is. */
  readonly files?: FactoryFiles | undefined;
  /** Where the partitions are, for a disk without a table of its own. */
  readonly partitions?: readonly PlacedPartition[];
}

/**
 * Makes of a disk with an image the disk of one device: its factory partition, and GUIDs that no other device has. All is on the medium
 * when it resolves. Doing it again is no harm. Throws `factory/no-partition`, `factory/too-large`, `factory/no-table`,
 * `factory/bad-table`, `factory/disk-busy`, `factory/no-disk` and those of `packFactory`; nothing is written then.
 */
export async function provisionDisk(options: ProvisionOptions): Promise<void> {
  const { disk, files, partitions } = options;
  const packed = files && (await packFactory(files, options));
  await using handle = await openDisk(disk);
  const gpt = await readGpt(handle);
  const known = gpt?.partitions ?? partitions;
  if (known === undefined)
    throw new MblError('factory/no-table', `${disk} has no partition table.`, {
      remedy: 'Write disk.img of a build onto it first.',
    });
  // Refused before anything is written.
  if (gpt !== undefined) await findBackup(handle, gpt);
  if (packed !== undefined) await writeFactory(handle, factoryOf(known, disk), packed);
  if (gpt !== undefined) await renewGuids(handle, gpt, randomBytes);
}

async function writeFactory(disk: FileHandle, partition: PlacedPartition, packed: Buffer): Promise<void> {
  const { offset, size } = partition;
  if (packed.length > size)
    throw new MblError(
      'factory/too-large',
      `The factory files take ${packed.length} bytes, the partition has ${size}.`,
      { remedy: 'Make them smaller, or the factory partition of the machine file larger.' },
    );
  await writeAll(disk, packed, offset);
  await disk.sync();
}

function factoryOf(partitions: readonly PlacedPartition[], disk: string): PlacedPartition {
  const found = partitions.find(({ name }) => name === 'factory');
  if (found !== undefined) return found;
  throw new MblError('factory/no-partition', `${disk} has no factory partition.`, {
    remedy: 'Add a partition named factory to the machine file and build the image again: ./mbl build',
  });
}

async function openDisk(path: string): Promise<FileHandle> {
  try {
    // For a block device O_EXCL means: unless it is mounted (open(2)).
    const exclusive = (await stat(path)).isBlockDevice() ? constants.O_EXCL : 0;
    return await open(path, constants.O_RDWR | exclusive);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EBUSY')
      throw new MblError('factory/disk-busy', `${path} is in use.`, {
        remedy: `Unmount what is on it, as in: umount ${path}*`,
        cause,
      });
    throw new MblError('factory/no-disk', `${path} cannot be opened: ${message}`, {
      remedy: 'Name a disk image, or a block device that you may write to.',
      cause,
    });
  }
}
