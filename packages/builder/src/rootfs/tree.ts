// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { TarOutput } from '@mbl/blocks';

/** Something in the root file system. Owners are names (or decimal numbers) until `Tree.output`. */
export interface Entry {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink';
  readonly mode: number;
  readonly user: string;
  readonly group: string;
  /** Target of a symbolic link, as written; path of a hard link. */
  readonly link: string;
  readonly data: Buffer;
  /** Who brings it: "package systemd", "os/rootfs/base". For errors. */
  readonly from: string;
}

/** Who has which number. */
export interface Owners {
  readonly users: ReadonlyMap<string, number>;
  readonly groups: ReadonlyMap<string, number>;
}

const nothing = Buffer.alloc(0);

/** A root file system in memory: one entry a path, no entry below anything but a directory. */
export class Tree {
  readonly #entries = new Map<string, Entry>();

  constructor(entries: Iterable<Entry> = []) {
    for (const entry of entries) this.#entries.set(entry.path, entry);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(path: string): Entry | undefined {
    return this.#entries.get(path);
  }

  /** Sorted by path, so that a directory comes before what is in it. */
  entries(): Entry[] {
    return [...this.#entries.values()].toSorted((a, b) => compare(a.path, b.path));
  }

  /** Adds what a package brings. The same directory from two packages is fine, anything else throws `builder/path-conflict`. */
  add(entry: Entry): void {
    const before = this.#entries.get(entry.path);
    if (before?.type === 'directory' && entry.type === 'directory') return;
    if (before) throw conflict(before, entry);
    this.#entries.set(entry.path, entry);
  }

  /** Lays an entry over what is there. Only a directory and something else at one path throw `builder/path-conflict`. */
  lay(entry: Entry): void {
    const before = this.#entries.get(entry.path);
    if (before && (before.type === 'directory') !== (entry.type === 'directory'))
      throw conflict(before, entry);
    if (before?.type === 'directory') return;
    this.#addParents(entry.path, entry.from);
    this.#entries.set(entry.path, entry);
  }

  /** Keeps `content` itself when it is a buffer: nobody may write to it afterwards. */
  file(
    path: string,
    content: string | Buffer,
    from: string,
    mode = 0o644,
    user = 'root',
    group = 'root',
  ): void {
    const data = typeof content === 'string' ? Buffer.from(content) : content;
    this.lay({ path, type: 'file', mode, user, group, link: '', data, from });
  }

  directory(path: string, from: string, mode = 0o755): void {
    this.lay({ path, type: 'directory', mode, user: 'root', group: 'root', link: '', data: nothing, from });
  }

  symlink(path: string, link: string, from: string): void {
    this.lay({ path, type: 'symlink', mode: 0o777, user: 'root', group: 'root', link, data: nothing, from });
  }

  /** Replaces mode and owner of an entry, when it is there. */
  own(path: string, mode: number, user: string, group: string): void {
    const entry = this.#entries.get(path);
    if (entry) this.#entries.set(path, { ...entry, mode, user, group });
  }

  /** Removes an entry and all that is below it. */
  remove(path: string): void {
    this.#entries.delete(path);
    for (const other of this.#entries.keys()) if (other.startsWith(`${path}/`)) this.#entries.delete(other);
  }

  /** The entry that a path leads to through symbolic links, in the tree. */
  resolve(path: string): Entry | undefined {
    let rest = path.split('/');
    let at: string[] = [];
    for (let hops = 0; hops < 40; ) {
      const part = rest.shift();
      if (part === undefined) return this.get(at.join('/'));
      if (part === '' || part === '.') continue;
      if (part === '..') {
        at.pop();
        continue;
      }
      const entry = this.get([...at, part].join('/'));
      if (entry?.type === 'symlink') {
        hops += 1;
        if (entry.link.startsWith('/')) at = [];
        rest = [...entry.link.split('/'), ...rest];
      } else if (entry?.type === 'hardlink' && rest.length === 0) return this.get(entry.link);
      else at.push(part);
    }
    return undefined;
  }

  /**
   * What the image is made of: the root directory first, all parents there, owners as numbers. Throws `builder/unknown-id`.
   */
  output(owners: Owners): TarOutput[] {
    for (const entry of [...this.#entries.values()]) this.#addParents(entry.path, entry.from);
    const sorted = this.entries().filter(({ path }) => path !== '');
    // A hard link's target must come before it, and sorting by path does not promise that.
    const ordered = [
      ...sorted.filter(({ type }) => type !== 'hardlink'),
      ...sorted.filter(({ type }) => type === 'hardlink'),
    ];
    const top: TarOutput = {
      path: '',
      type: 'directory',
      mode: 0o755,
      uid: 0,
      gid: 0,
      link: '',
      data: nothing,
    };
    return [
      top,
      ...ordered.map(({ path, type, mode, user, group, link, data, from }) => ({
        path,
        type,
        mode,
        uid: idOf(user, owners.users, 'user', path, from),
        gid: idOf(group, owners.groups, 'group', path, from),
        link,
        data,
      })),
    ];
  }

  #addParents(path: string, from: string): void {
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const parent = path.slice(0, slash);
      const there = this.#entries.get(parent);
      if (there && there.type !== 'directory')
        throw new MblError(
          'builder/path-conflict',
          `${from} brings /${path}, but /${parent} is a ${there.type} of ${there.from}.`,
          { remedy: `Take /${path} out, or write the path that the link leads to.` },
        );
      if (there) continue;
      this.#entries.set(parent, {
        path: parent,
        type: 'directory',
        mode: 0o755,
        user: 'root',
        group: 'root',
        link: '',
        data: nothing,
        from,
      });
    }
  }
}

const idOf = (
  name: string,
  ids: ReadonlyMap<string, number>,
  kind: 'user' | 'group',
  path: string,
  from: string,
): number => {
  const id = ids.get(name) ?? (/^\d+$/.test(name) ? Number(name) : undefined);
  if (id !== undefined) return id;
  throw new MblError(
    'builder/unknown-id',
    `/${path} (${from}) belongs to the ${kind} "${name}", whom nobody knows.`,
    {
      remedy: `Add the ${kind} to a sysusers.d file of the image, and a number for it to os/rootfs/policy.yaml.`,
    },
  );
};

const conflict = (before: Entry, entry: Entry): MblError =>
  new MblError(
    'builder/path-conflict',
    `/${entry.path} comes from ${before.from} (${before.type}) and from ${entry.from} (${entry.type}).`,
    { remedy: 'Leave one of the two out of the image.', details: { path: entry.path } },
  );

/** By bytes, not by language. */
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
