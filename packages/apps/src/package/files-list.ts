// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { MblError } from '@mbl/trust';
import type { Spool } from '../layers/spool.ts';
import type { Inode, Tree } from '../root/tree.ts';

/** The most characters of a list. */
export const maxFilesList = 128 * 1024 * 1024;

/**
 * What is in an app's root, a line a name: mode, owner, what it is (a file's size and SHA-256, a link's target in quotes) and the path in quotes. For people, and to compare two
 * packages; no device reads it.
 */
export function formatFiles(tree: Tree, spool: Spool): string {
  const digests = new Map<Inode, string>();
  const lines = [...tree.walk()].map(({ path, node: { inode } }) => {
    const { type, mode, uid, gid, link, content } = inode;
    let what = 'folder';
    if (type === 'symlink') what = `-> ${JSON.stringify(link)}`;
    if (type === 'file') {
      what =
        digests.get(inode) ??
        `${content.size} ${createHash('sha256').update(spool.read(content)).digest('hex')}`;
      digests.set(inode, what);
    }
    return `${mode.toString(8).padStart(4, '0')} ${uid}:${gid} ${what} ${JSON.stringify(`/${path}`)}\n`;
  });
  return lines.join('');
}

/** What each path is, as `formatFiles` says it. Throws `apps/bad-files`. */
export function parseFiles(text: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const match = /^(.{1,9000}) ("\/(?:[^"\\]|\\.)*")$/.exec(line);
    if (match === null)
      throw new MblError('apps/bad-files', 'The list of files of the package cannot be read.', {
        remedy: 'Make the package again with: ./mbl app build',
      });
    files.set(JSON.parse(match[2] ?? '') as string, match[1] ?? '');
  }
  return files;
}
