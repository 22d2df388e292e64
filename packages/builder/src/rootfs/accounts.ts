// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Policy } from './policy.ts';
import { compare, type Owners, type Tree } from './tree.ts';

/** A user that an image file adds. */
export interface ExtraUser {
  readonly name: string;
  readonly id: number;
  readonly home?: string | undefined;
  readonly shell?: string | undefined;
  readonly groups: readonly string[];
}

interface User {
  readonly id: number;
  readonly group: number;
  readonly comment: string;
  readonly home: string;
  readonly shell: string;
}

const NOLOGIN = '/usr/sbin/nologin';

/**
 * Makes `/etc/passwd`, `group`, `shadow` and `gshadow` of the tree's `sysusers.d` files and the image's own users. Every number is
 * fixed: by the file itself, or by the policy's table. Nobody has a password. Throws `builder/unknown-id` and `builder/bad-sysusers`.
 */
export const makeAccounts = (
  tree: Tree,
  policy: Pick<Policy, 'users' | 'groups'>,
  extra: readonly ExtraUser[],
): Owners => {
  const accounts = new Accounts(policy);
  for (const { path, data, type } of tree.entries()) {
    if (type !== 'file' || !/^(usr\/lib|etc)\/sysusers\.d\/[^/]+\.conf$/.test(path)) continue;
    for (const [index, line] of data.toString().split('\n').entries())
      accounts.read(line, `/${path}:${index + 1}`);
  }
  accounts.finish(extra);
  accounts.write(tree);
  return accounts.owners();
};

class Accounts {
  readonly #policy: Pick<Policy, 'users' | 'groups'>;
  readonly #users = new Map<string, User>();
  readonly #groups = new Map<string, number>();
  readonly #members = new Map<string, Set<string>>();
  /** Users wait for all groups: their files may come in any order. */
  readonly #waiting: (() => void)[] = [];

  constructor(policy: Pick<Policy, 'users' | 'groups'>) {
    this.#policy = policy;
  }

  /** One line of a sysusers.d(5) file. */
  read(line: string, at: string): void {
    const fields = [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
      ([, quoted, bare]) => quoted ?? bare ?? '',
    );
    const [kind = '', name = '', id = '-', comment = '-', home = '-', shell = '-'] = fields;
    if (kind === '' || kind.startsWith('#') || kind === 'r') return;
    if (!/^[A-Za-z_][A-Za-z0-9_-]{0,30}$/.test(name)) throw bad(at, line);
    if (kind === 'g')
      this.#addGroup(name, id === '-' ? this.#fixed('groups', name, at) : number(id, at, line));
    else if (kind === 'm') this.#addMember(id, name);
    else if (kind === 'u' || kind === 'u!') {
      const [own = '-', group] = id.split(':');
      const uid = own === '-' ? this.#fixed('users', name, at) : number(own, at, line);
      if (group === undefined) this.#addGroup(name, uid);
      this.#waiting.push(() => {
        const gid = group === undefined ? uid : /^\d+$/.test(group) ? Number(group) : this.#groups.get(group);
        if (gid === undefined) throw bad(at, line);
        this.#addUser(name, {
          id: uid,
          group: gid,
          comment: comment === '-' ? '' : comment,
          home: home === '-' ? '/' : home,
          shell: shell === '-' ? NOLOGIN : shell,
        });
      });
    } else throw bad(at, line);
  }

  finish(extra: readonly ExtraUser[]): void {
    this.#addGroup('root', 0);
    this.#addUser('root', { id: 0, group: 0, comment: 'root', home: '/root', shell: '/bin/sh' });
    for (const add of this.#waiting) add();
    for (const { name, id, home = '/', shell = NOLOGIN, groups } of extra) {
      this.#addGroup(name, id);
      this.#addUser(name, { id, group: id, comment: '', home, shell });
      for (const group of groups) this.#addMember(group, name);
    }
    for (const [group, members] of this.#members)
      for (const name of [group, ...members])
        if (name === group ? !this.#groups.has(group) : !this.#users.has(name))
          throw new MblError(
            'builder/unknown-id',
            `"${name}" is no ${name === group ? 'group' : 'user'} of the image.`,
            {
              remedy: 'Correct the groups of the users in the image file, or add a sysusers.d file.',
            },
          );
  }

  write(tree: Tree): void {
    const users = [...this.#users].toSorted(([a, x], [b, y]) => x.id - y.id || compare(a, b));
    const groups = [...this.#groups].toSorted(([a, x], [b, y]) => x - y || compare(a, b));
    const members = (name: string): string => [...(this.#members.get(name) ?? [])].toSorted().join(',');
    const bash = tree.resolve('usr/bin/bash') ? '/bin/bash' : '/bin/sh';
    const from = 'the accounts of the image';
    const lines = (list: readonly string[]): string => list.map((line) => `${line}\n`).join('');
    tree.file(
      'etc/passwd',
      lines(
        users.map(([name, { id, group, comment, home, shell }]) =>
          [name, 'x', id, group, comment, home, name === 'root' ? bash : shell].join(':'),
        ),
      ),
      from,
    );
    tree.file('etc/group', lines(groups.map(([name, id]) => `${name}:x:${id}:${members(name)}`)), from);
    // "*": no password ever matches, but a key may let the user in ("!" would lock the account for sshd as well).
    tree.file('etc/shadow', lines(users.map(([name]) => `${name}:*:1::::::`)), from, 0o640, 'root', 'shadow');
    tree.file(
      'etc/gshadow',
      lines(groups.map(([name]) => `${name}:*::${members(name)}`)),
      from,
      0o640,
      'root',
      'shadow',
    );
  }

  owners(): Owners {
    return {
      users: new Map([...this.#users].map(([name, { id }]) => [name, id])),
      groups: new Map(this.#groups),
    };
  }

  #addUser(name: string, user: User): void {
    if (!this.#users.has(name)) this.#users.set(name, user);
  }

  #addGroup(name: string, id: number): void {
    if (!this.#groups.has(name)) this.#groups.set(name, id);
  }

  #addMember(group: string, user: string): void {
    this.#members.set(group, (this.#members.get(group) ?? new Set()).add(user));
  }

  #fixed(kind: 'users' | 'groups', name: string, at: string): number {
    const id = this.#policy[kind][name] ?? (kind === 'groups' ? this.#policy.users[name] : undefined);
    if (id !== undefined) return id;
    throw new MblError(
      'builder/unknown-id',
      `${at} asks for the ${kind === 'users' ? 'user' : 'group'} "${name}" without a number.`,
      {
        remedy: `Give it a number under "${kind}:" in os/rootfs/policy.yaml: numbers must be the same in every build.`,
      },
    );
  }
}

const number = (id: string, at: string, line: string): number => {
  if (!/^\d{1,5}$/.test(id)) throw bad(at, line);
  return Number(id);
};

const bad = (at: string, line: string): MblError =>
  new MblError('builder/bad-sysusers', `${at}: this line of sysusers.d is not understood: ${line.trim()}`, {
    remedy: 'Write it as sysusers.d(5) says; file names in place of numbers are not supported.',
  });
