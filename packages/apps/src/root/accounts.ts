// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Spool } from '../layers/spool.ts';
import type { Tree } from './tree.ts';

export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

const mostBytes = 1024 * 1024;
const mostGroups = 32;

/**
 * Who `user`, `user:group` is, each a name or a number, by the image's own `/etc/passwd` and `/etc/group` (OCI image-spec, config.md, `User`).
 * Empty is root. Throws `apps/unknown-user`.
 */
export function findAccount(tree: Tree, spool: Spool, text: string): Account {
  const [user = '', group] = text.split(':');
  const users = rows(tree, spool, '/etc/passwd');
  const groups = rows(tree, spool, '/etc/group');
  const asked = user === '' ? '0' : user;
  const entry = users.find(([name, , uid]) => name === asked || uid === asked);
  const uid = numberOf(entry?.[2] ?? asked);
  if (uid === undefined) throw unknown(text, user, '/etc/passwd');
  const wanted = group === undefined || group === '' ? undefined : group;
  const ofGroup =
    wanted === undefined ? (entry?.[3] ?? '0') : (groups.find(([name]) => name === wanted)?.[2] ?? wanted);
  const gid = numberOf(ofGroup);
  if (gid === undefined) throw unknown(text, wanted ?? '', '/etc/group');
  const name = entry?.[0];
  const others =
    wanted !== undefined || name === undefined
      ? []
      : groups
          .filter(([, , , members]) => members?.split(',').includes(name))
          .flatMap(([, , id]) => numberOf(id ?? '') ?? []);
  return { uid, gid, groups: [...new Set(others)].filter((id) => id !== gid).slice(0, mostGroups) };
}

function rows(tree: Tree, spool: Spool, path: string): string[][] {
  const node = tree.find(path);
  if (node?.inode.type !== 'file' || node.inode.content.size > mostBytes) return [];
  return spool
    .read(node.inode.content)
    .toString()
    .split('\n')
    .map((line) => line.split(':'));
}

function numberOf(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) < 65_535 ? Number(text) : undefined;
}

function unknown(text: string, name: string, file: string): MblError {
  return new MblError(
    'apps/unknown-user',
    `The image's user is "${text}", and its ${file} has no "${name}".`,
    {
      remedy: 'Write numbers, such as "1000:1000", or add the user to the image.',
    },
  );
}
