// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { lstat, open, readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { digestJson } from './canonical.ts';
import { errnoOf } from './errno.ts';

/**
 * One entry of a file tree. Of the mode only "may be executed" counts: the rest depends on the umask of whoever made the file. Times
 * do not count; `mtime` tells a file that was touched from one that was not.
 */
export type TreeEntry =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'file';
      /** Relative to the tree's root, "/" between parts; empty for the root itself. */
      readonly path: string;
      readonly executable: boolean;
      /** Bytes. */
      readonly size: number;
      /** Milliseconds since 1970. */
      readonly mtime: number;
      readonly sha256: string;
    };

/** The hash of a file, which the walker asks for; a caller that knows it already need not read the file. */
export type FileHash = (file: string, path: string, size: number, mtime: number) => Promise<string>;

/**
 * All entries below `root` (which may be a file), sorted by path. A link as the root itself stands for what it leads to, as for everybody
 * who opens it; links below are entries. Throws the system's errors, and `builder/odd-file` for a device.
 */
export async function listTree(root: string, hash: FileHash = hashFile): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = [];
  const visit = async (path: string): Promise<void> => {
    const file = path === '' ? root : join(root, path);
    const status = await (path === '' ? stat : lstat)(file).catch((error: unknown) => {
      // An editor's temporary file may go between the listing and the look at it.
      if (path !== '' && errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (status === undefined) return;
    if (status.isDirectory()) {
      if (path !== '') entries.push({ kind: 'folder', path });
      for (const name of await readdir(file)) await visit(path === '' ? name : `${path}/${name}`);
    } else if (status.isSymbolicLink()) {
      entries.push({ kind: 'link', path, target: await readlink(file) });
    } else if (status.isFile()) {
      const { size, mtimeMs: mtime } = status;
      const executable = (status.mode & 0o100) !== 0;
      entries.push({
        kind: 'file',
        path,
        executable,
        size,
        mtime,
        sha256: await hash(file, path, size, mtime),
      });
    } else {
      throw new MblError('builder/odd-file', `${file} is not a file, a folder or a link.`);
    }
  };
  await visit('');
  return entries.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** SHA-256 over what counts of each entry. */
export function treeDigest(entries: readonly TreeEntry[]): string {
  return digestJson(
    entries.map((entry) => {
      if (entry.kind === 'folder') return ['folder', entry.path];
      if (entry.kind === 'link') return ['link', entry.path, entry.target];
      return ['file', entry.path, entry.executable, entry.sha256];
    }),
  );
}

/** SHA-256 of a file's content, 64 lower hex; reads a MiB at a time. */
export async function hashFile(file: string): Promise<string> {
  await using handle = await open(file);
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(1024 * 1024);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
  }
}
