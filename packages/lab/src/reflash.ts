// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Extent, ImageDescription } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { boardFiles } from './emulator.ts';
import type { BoardImage } from './image.ts';
import { copySparse } from './sparse-copy.ts';

/** What belongs to the board and not to the build. */
const kept = new Set(['factory', 'config', 'data']);
const chunkSize = 1024 * 1024;

/** Whether two images divide the disk of one machine in the same way. */
export function hasSameLayout(a: ImageDescription, b: ImageDescription): boolean {
  const layout = ({ machine, disk }: ImageDescription): string =>
    JSON.stringify([machine, disk.size, disk.partitions]);
  return layout(a) === layout(b);
}

/** Writes another build's firmware, kernel and root onto a board's flash and disk; identity and data stay. */
export async function reflash(
  directory: string,
  from: BoardImage,
  imageDirectory: string,
  to: BoardImage,
  signal?: AbortSignal,
): Promise<void> {
  if (!hasSameLayout(from, to)) {
    throw new MblError(
      'lab/layout-changed',
      'The new image divides the disk in another way than the board does.',
      {
        remedy: `Make the board anew: ./mbl board reset ${basename(directory)}`,
      },
    );
  }
  await copySparse(join(imageDirectory, to.flash.file), join(directory, boardFiles.flash), signal);
  const source = join(imageDirectory, to.disk.file);
  for (const partition of to.disk.partitions) {
    if (!kept.has(partition.name)) {
      await copyExtent(source, join(directory, boardFiles.disk), partition, signal);
    }
  }
}

/** Writes only what differs, so that holes stay holes. */
async function copyExtent(from: string, to: string, extent: Extent, signal?: AbortSignal): Promise<void> {
  const source = await open(from);
  const target = await open(to, 'r+');
  try {
    const wanted = Buffer.alloc(chunkSize);
    const present = Buffer.alloc(chunkSize);
    const end = extent.offset + extent.size;
    for (let position = extent.offset; position < end; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await source.read(wanted, 0, Math.min(chunkSize, end - position), position);
      if (bytesRead === 0) return;
      const { bytesRead: there } = await target.read(present, 0, bytesRead, position);
      const bytes = wanted.subarray(0, bytesRead);
      if (there !== bytesRead || !bytes.equals(present.subarray(0, there))) {
        await target.write(bytes, 0, bytesRead, position);
      }
      position += bytesRead;
    }
  } finally {
    await source.close();
    await target.close();
  }
}
