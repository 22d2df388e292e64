// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MblError } from '@mbl/trust';
import { type Deb, readDeb } from '../debian/deb.ts';
import type { TarEntry } from '@mbl/blocks';
import type { BillComponent } from '@mbl/formats';
import { describePackage, type PackageIdentity } from '../materials/debian.ts';
import { matcher } from './globs.ts';
import type { Policy } from './policy.ts';
import { checkScripts } from './review.ts';
import { compare, type Entry, Tree } from './tree.ts';

/** A package to unpack. */
export interface PackageFile extends PackageIdentity {
  /** The `.deb`. */
  readonly file: string;
}

export interface UnpackOptions {
  readonly signal?: AbortSignal | undefined;
  readonly progress?: (fraction: number | undefined, what?: string) => void;
}

/** What all packages together bring: trimmed, without conflicts, maintainer scripts checked. */
export interface Unpacked {
  readonly tree: Tree;
  readonly components: readonly BillComponent[];
}

/** Reads packages (three at a time: decompression is most of the work) into one tree. */
export const unpackPackages = async (
  packages: readonly PackageFile[],
  policy: Policy,
  options: UnpackOptions = {},
): Promise<Unpacked> => {
  const wanted = packages.filter(({ name }) => !policy.scaffolding.includes(name));
  const debs = new Map<string, Deb>();
  const queue = [...wanted];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      options.progress?.(debs.size / wanted.length, `unpacking ${next.name}`);
      debs.set(next.name, await readDeb(next.file, next.name, options.signal));
    }
  };
  await Promise.all([worker(), worker(), worker()]);
  // A package of the image may share the documentation of one that stays out of it.
  const open = async (name: string): Promise<Deb | undefined> => {
    const other = packages.find((each) => each.name === name);
    return debs.get(name) ?? (other && (await readDeb(other.file, name, options.signal)));
  };
  const isTrimmed = matcher(policy.trim);
  const tree = new Tree();
  const components: BillComponent[] = [];
  for (const item of [...wanted].toSorted((a, b) => compare(a.name, b.name))) {
    const deb = debs.get(item.name);
    if (!deb) continue;
    checkScripts(item.name, deb, policy);
    components.push(await describePackage(item, deb, open));
    for (const entry of deb.files) addEntry(tree, entry, `package ${item.name}`, isTrimmed);
  }
  return { tree, components };
};

const addEntry = (tree: Tree, entry: TarEntry, from: string, isTrimmed: (path: string) => boolean): void => {
  const path = mergeUsr(entry.path, entry.type);
  if (path === '' || isTrimmed(path)) return;
  const { type, mode, user, group, uid, gid, link, data } = entry;
  if (type === 'character' || type === 'block' || type === 'fifo')
    throw new MblError('builder/bad-package', `${from} brings a ${type} device or pipe, /${path}.`, {
      remedy: 'Leave the package out of the image.',
    });
  tree.add({
    path,
    type,
    // Nothing in the image gains privileges by being run: no setuid, no setgid (the sticky bit of /tmp stays).
    mode: type === 'file' ? mode & 0o777 : mode & 0o1777,
    user: user || String(uid),
    group: group || String(gid),
    link: type === 'hardlink' ? mergeUsr(link, 'file') : link,
    data,
    from,
  });
};

/** `/lib/x` of an old package is `/usr/lib/x`; the links themselves come from base-files. */
const mergeUsr = (path: string, type: string): string =>
  /^(bin|sbin|lib|lib64)\//.test(path) || (type === 'directory' && /^(bin|sbin|lib|lib64)$/.test(path))
    ? `usr/${path}`
    : path;

type Stored = Omit<Entry, 'data'> & { readonly offset: number; readonly length: number };

/** Keeps an unpacked set in a folder (`tree.json`, `data`, `components.json`), so that a change of an overlay does not unpack again. */
export const storeUnpacked = async (unpacked: Unpacked, folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true });
  let offset = 0;
  const entries: Stored[] = [];
  const data: Buffer[] = [];
  for (const { data: bytes, ...entry } of unpacked.tree.entries()) {
    entries.push({ ...entry, offset, length: bytes.length });
    if (bytes.length > 0) data.push(bytes);
    offset += bytes.length;
  }
  await pipeline(Readable.from(data), createWriteStream(join(folder, 'data')));
  await writeFile(join(folder, 'tree.json'), JSON.stringify(entries));
  await writeFile(join(folder, 'components.json'), JSON.stringify(unpacked.components));
};

/** Reads what `storeUnpacked` wrote. */
export const loadUnpacked = async (folder: string): Promise<Unpacked> => {
  const data = await readFile(join(folder, 'data'));
  const text = await readFile(join(folder, 'tree.json'), 'utf8');
  const entries: Stored[] = JSON.parse(text);
  const tree = new Tree(
    entries.map(({ offset, length, ...entry }) => ({
      ...entry,
      data: data.subarray(offset, offset + length),
    })),
  );
  return { tree, components: await loadComponents(folder) };
};

/** What the stored set is made of. */
export const loadComponents = async (folder: string): Promise<BillComponent[]> =>
  JSON.parse(await readFile(join(folder, 'components.json'), 'utf8'));
