// SPDX-License-Identifier: Apache-2.0
import { open, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MblError } from '@mbl/trust';

/** The text of a file of at most `limit` bytes; undefined when there is none. */
export async function readBounded(path: string, limit: number): Promise<string | undefined> {
  try {
    await using file = await open(path, 'r');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(limit + 1), 0, limit + 1, 0);
    if (bytesRead > limit)
      throw new MblError('device/file-too-large', `${path} has more than ${limit} bytes`);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return undefined;
    throw cause;
  }
}

/** Writes a file so that a power cut leaves the old one or the new one, and the new one stays once this resolved. */
export async function writeAtomic(path: string, content: string, mode = 0o600): Promise<void> {
  const partial = join(dirname(path), `.${path.slice(dirname(path).length + 1)}.new`);
  {
    await using file = await open(partial, 'w', mode);
    await file.writeFile(content);
    await file.sync();
  }
  await rename(partial, path);
  await syncFolder(dirname(path));
}

/** Makes a rename in this folder last. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

export function isErrno(cause: unknown, code: string): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === code;
}
