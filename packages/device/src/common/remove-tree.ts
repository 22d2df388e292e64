// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, opendir, rename, rmdir, unlink } from 'node:fs/promises';
import { isErrno } from './files.ts';

/** How deep folders are gone into before what lies deeper is brought up. */
const deepest = 8;

/** A folder that is held open: nobody puts another one, or a link, in its place. */
const within = (folder: FileHandle, name: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`/proc/self/fd/${folder.fd}/`), name]);

/**
 * Removes what is at `path`, with all that is in it; nothing where there is nothing. Whoever may write in there meanwhile, or has left folders in
 * folders in it, does not lead it elsewhere and does not keep it: names are looked up in folders that are held open, and a path never gets long, as
 * those of `fs.rm` do (path_resolution(7), ENAMETOOLONG). Follows no link but those on the way to `path`, and goes into no other file system.
 */
export async function removeTree(path: string): Promise<void> {
  await removeAt(Buffer.from(path), undefined, 0);
}

interface Top {
  readonly folder: FileHandle;
  readonly device: number;
  /** Of folders that were brought up. */
  count: number;
}

async function removeAt(path: Buffer, top: Top | undefined, depth: number): Promise<void> {
  // First: unlink(2) takes whatever is no folder, and follows no link.
  if (await isGone(unlink(path), 'EISDIR')) return;
  if (await isGone(rmdir(path), 'ENOTEMPTY')) return;
  if (top !== undefined && depth > deepest) {
    await rename(path, within(top.folder, Buffer.from(`.removed-${randomBytes(16).toString('hex')}`)));
    top.count++;
    return;
  }
  {
    const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
    await using folder = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const device = (await folder.stat()).dev;
    if (top !== undefined && device !== top.device)
      throw new Error(`${path.toString()} is on another file system`);
    const above = top ?? { folder, device, count: 0 };
    for (let before = -1; before < above.count; ) {
      before = above.count;
      for await (const name of namesIn(folder)) await removeAt(within(folder, name), above, depth + 1);
      // What was brought up is in the uppermost folder.
      if (top !== undefined) break;
    }
  }
  await isGone(rmdir(path));
}

/** One by one: there may be more than there is memory for. As bytes: not all of them are UTF-8. */
async function* namesIn(folder: FileHandle): AsyncGenerator<Uint8Array> {
  const entries = await opendir(`/proc/self/fd/${folder.fd}`, { encoding: 'buffer' as BufferEncoding });
  for await (const { name } of entries) yield name as string | Uint8Array as Uint8Array;
}

/** True: it is not there any more; false: it failed with `expected`. Throws what else there is. */
async function isGone(removed: Promise<void>, expected?: string): Promise<boolean> {
  try {
    await removed;
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return true;
    if (expected !== undefined && isErrno(error, expected)) return false;
    throw error;
  }
}
