// SPDX-License-Identifier: Apache-2.0
import { constants, open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file so that a power cut leaves the old one or the new one, and the new one stays once this resolved.
 *
 * Node's permission model has no fsync, so files are opened with O_SYNC. For the rename, a synchronous write to another file follows:
 * a file system with a journal (ext4, the configuration partition's) commits what happened before it at the latest with it.
 */
export async function writeAtomic(path: string, content: string, mode = 0o600): Promise<void> {
  const folder = dirname(path);
  const partial = join(folder, `.${basename(path)}.new`);
  await writeSynchronously(partial, content, mode);
  await renameDurably(partial, path);
}

/** Renames within a folder; lasts once this resolved. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to);
  await writeSynchronously(join(dirname(to), '.synced'), '\n', 0o600);
}

async function writeSynchronously(path: string, content: string, mode: number): Promise<void> {
  const { O_CREAT, O_SYNC, O_TRUNC, O_WRONLY } = constants;
  await using file = await open(path, O_CREAT | O_SYNC | O_TRUNC | O_WRONLY, mode);
  await file.writeFile(content);
}

export function isErrno(cause: unknown, code: string): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === code;
}
