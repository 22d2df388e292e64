// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises';
import { MblError } from '@mbl/trust';

const chunkSize = 1024 * 1024;

/** Copies a file into `target` at `offset`, leaving out blocks of zeros so that the target stays sparse. At most `limit` bytes. */
export async function copyInto(
  target: FileHandle,
  offset: number,
  source: string,
  limit: number,
): Promise<void> {
  await using file = await open(source);
  const { size } = await file.stat();
  if (size > limit)
    throw new MblError('builder/partition-full', `${source} has ${size} bytes, its partition ${limit}`, {
      remedy: 'Make the partition larger in the machine file, or the image smaller.',
      details: { size, limit },
    });
  const chunk = Buffer.alloc(chunkSize);
  for (let position = 0; position < size; ) {
    const { bytesRead } = await file.read(chunk, 0, chunkSize, position);
    if (bytesRead === 0) break;
    const data = chunk.subarray(0, bytesRead);
    if (!isZero(data)) await target.write(data, 0, bytesRead, offset + position);
    position += bytesRead;
  }
}

const zeros = Buffer.alloc(chunkSize);

function isZero(data: Buffer): boolean {
  return data.equals(zeros.subarray(0, data.length));
}
