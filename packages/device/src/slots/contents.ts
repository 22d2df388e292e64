// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { constants } from 'node:fs/promises';
import { alignedBuffer, BLOCK_SIZE, openDirect } from '@mbl/blocks';

const chunkBytes = 1024 * 1024;

/**
 * SHA-256, as 64 hex digits, of the first `size` bytes of a file or device, from the medium and not from the kernel's cache of it; undefined where it is
 * shorter. Throws what a read throws.
 */
export async function digestOf(path: string, size: number): Promise<string | undefined> {
  // A pipe that somebody has put in its place is waited for by nobody.
  await using file = await openDirect(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const hash = createHash('sha256');
  const chunk = alignedBuffer(chunkBytes);
  for (let position = 0; position < size; ) {
    const wanted = Math.min(chunk.length, size - position);
    // Whole blocks: the last one is read past its end.
    const whole = Math.ceil(wanted / BLOCK_SIZE) * BLOCK_SIZE;
    const { bytesRead } = await file.read(chunk, 0, whole, position);
    if (bytesRead < wanted) return undefined;
    hash.update(chunk.subarray(0, wanted));
    position += wanted;
  }
  return hash.digest('hex');
}
