// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { MblError } from '@mbl/trust';

/** The text of a file; undefined when there is none. Throws `formats/too-large` above `most` bytes. */
export async function readText(path: string, most: number): Promise<string | undefined> {
  try {
    await using file = await open(path, 'r');
    // Not by the size that stat gives, which files of the kernel (/proc, /sys) do not know.
    const { buffer, bytesRead } = await file.read(Buffer.alloc(most + 1), 0, most + 1, 0);
    if (bytesRead > most)
      throw new MblError('formats/too-large', `${path} has more than ${most} bytes`, { details: { path } });
    return buffer.toString('utf8', 0, bytesRead);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw cause;
  }
}
