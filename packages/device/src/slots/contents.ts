// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

const chunkBytes = 1024 * 1024;

/** SHA-256, as 64 hex digits, of the first `size` bytes of a file or device; undefined where it is shorter. Throws what a read throws. */
export async function digestOf(path: string, size: number): Promise<string | undefined> {
  await using file = await open(path);
  const hash = createHash('sha256');
  const chunk = Buffer.alloc(chunkBytes);
  for (let position = 0; position < size; ) {
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, size - position), position);
    if (bytesRead === 0) return undefined;
    hash.update(chunk.subarray(0, bytesRead));
    position += bytesRead;
  }
  return hash.digest('hex');
}
