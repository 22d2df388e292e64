// SPDX-License-Identifier: Apache-2.0
import { chmod, chown, lchown, lstat, mkdir, opendir, readdir, readFile, rm } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { isErrno } from '../common/files.ts';
import { removeTree } from '../common/remove-tree.ts';

/** A user and its group. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export const root: Owner = { uid: 0, gid: 0 };

/**
 * Makes `path` a folder of `owner` with this mode. Something else in its place, a link above all, goes: whoever had the disk in hand must
 * not choose where services write. Returns true when something was put right.
 */
export async function makeFolder(path: string, mode: number, owner: Owner = root): Promise<boolean> {
  const wrong = await removeUnlessFolder(path);
  await mkdir(path, { mode }).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
  });
  const { uid, gid, mode: given } = await lstat(path);
  const foreign = uid !== owner.uid || gid !== owner.gid;
  // Who owned it could have written to it; a new one is root's until here.
  if (foreign) await chown(path, owner.uid, owner.gid);
  if ((given & 0o7777) !== mode) await chmod(path, mode);
  return wrong;
}

/** Removes what is at `path` unless it is a folder. Returns true when there was something. */
export async function removeUnlessFolder(path: string): Promise<boolean> {
  const entry = await lstat(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
    throw error;
  });
  if (entry === undefined || entry.isDirectory()) return false;
  await rm(path);
  return true;
}

/** Everything in `folder` becomes a plain file of `owner`, for nobody else; what is none goes. Returns true when something went. */
export async function ownFiles(folder: string, owner: Owner): Promise<boolean> {
  let removed = false;
  // One by one: there may be more names than there is memory for.
  for await (const { name } of await opendir(folder)) {
    const path = join(folder, name);
    const entry = await lstat(path);
    if (!entry.isFile()) {
      await removeTree(path);
      removed = true;
    } else {
      if (entry.uid !== owner.uid || entry.gid !== owner.gid) await lchown(path, owner.uid, owner.gid);
      if ((entry.mode & 0o7077) !== 0) await chmod(path, entry.mode & 0o700);
    }
  }
  return removed;
}

/**
 * The folders below `top` that files of tmpfiles.d(5) ask for, each after the one that it is in: services write to them.
 */
export async function expectedFolders(tmpfiles: string, top: string): Promise<string[]> {
  const found = new Set<string>();
  const files = await readdir(tmpfiles).catch(() => []);
  for (const file of files.filter((each) => each.endsWith('.conf'))) {
    const text = await readFile(join(tmpfiles, file), 'utf8').catch(() => '');
    for (const [, path = ''] of text.matchAll(/^[dDqQvVeC][!+=~^$-]*\s+(\/[\w./-]+)(?:\s|$)/gm)) {
      const parts = posix.relative(top, posix.normalize(path)).split('/');
      if (parts[0] === '..' || parts[0] === '') continue;
      for (let depth = 1; depth <= parts.length; depth++) found.add(parts.slice(0, depth).join('/'));
    }
  }
  return [...found].toSorted((a, b) => a.length - b.length);
}

/** The number of a group of group(5). Throws when there is none of that name. */
export async function groupNumber(group: string, name: string): Promise<number> {
  const line = (await readFile(group, 'utf8')).split('\n').find((each) => each.startsWith(`${name}:`));
  const number = line?.split(':')[2];
  if (number === undefined) throw new Error(`there is no group ${name}`);
  return Number(number);
}

/** A user of passwd(5). Throws when there is none of that name. */
export async function ownerOf(passwd: string, user: string): Promise<Owner> {
  const line = (await readFile(passwd, 'utf8')).split('\n').find((each) => each.startsWith(`${user}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${user}`);
  return { uid: Number(uid), gid: Number(gid) };
}
