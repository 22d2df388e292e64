// SPDX-License-Identifier: Apache-2.0
import type { TarOutput } from '@mbl/blocks';
import { appMountPoints } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { shown } from '../layers/names.ts';
import { emptyContent, type Spool } from '../layers/spool.ts';
import { type Inode, plainFile, plainFolder, type Tree } from './tree.ts';

/** What was changed of an image so that it is an app's root. Counts of names. */
export interface RootChanges {
  /** Set-user-ID and set-group-ID bits that were cleared: the root is mounted `nosuid`. */
  readonly setuid: number;
  /** Extended attributes that were dropped: capabilities, access lists, labels; `user.*` stay. */
  readonly attributes: number;
  /** Names below folders that the device mounts over. */
  readonly hidden: number;
}

export interface RootOptions {
  readonly users: 'one' | 'several';
  /** Absolute paths of volumes. */
  readonly volumes: readonly string[];
}

/** What Docker leaves in an exported container. */
const leftovers = ['.dockerenv'];
const nobody = 65_534;

/**
 * Makes the tree of an image an app's root: clears what a root without privileges has no use for, and makes the places that the device mounts
 * over, since nobody can in a read-only root. Changes `tree`. Throws `apps/bad-volume`, `apps/too-many-users`.
 */
export function composeRoot(tree: Tree, { users, volumes }: RootOptions): RootChanges {
  let hidden = 0;
  for (const name of leftovers) tree.root.children.delete(name);
  for (const name of appMountPoints.folders) {
    const node = tree.root.children.get(name);
    if (node?.inode.type === 'directory') {
      hidden += node.children.size;
      node.children.clear();
    } else tree.put(name, plainFolder(name === 'tmp' ? 0o1777 : 0o755));
  }
  for (const path of appMountPoints.files) {
    const folder = tree.exact(path.slice(0, path.lastIndexOf('/')));
    if (folder !== undefined && folder.inode.type !== 'directory') tree.root.children.delete('etc');
    tree.put(path, plainFile());
  }
  for (const path of volumes) makeVolume(tree, path);
  let setuid = 0;
  let attributes = 0;
  const changed = new Map<Inode, Inode>();
  for (const { path, node } of tree.walk()) {
    const { inode } = node;
    const known = changed.get(inode);
    if (known !== undefined) {
      node.inode = known;
      continue;
    }
    const { mode, uid, gid } = inode;
    if (users === 'several' && (uid > nobody || gid > nobody))
      throw new MblError(
        'apps/too-many-users',
        `/${shown(path)} belongs to ${uid}:${gid}, and an app's users are 0 to ${nobody}.`,
        { remedy: 'Give the file another owner in the image, or set "users: one" in app.yaml.' },
      );
    const kept = new Map([...inode.attributes].filter(([name]) => name.startsWith('user.')));
    // In a folder the set-group-ID bit grants nothing, and a read-only root has no new files to inherit it.
    if (inode.type === 'file' && (mode & 0o6000) !== 0) setuid += 1;
    attributes += inode.attributes.size - kept.size;
    const next = {
      ...inode,
      mode: inode.type === 'symlink' ? 0o777 : mode & 0o1777,
      ...(users === 'one' ? { uid: 0, gid: 0 } : {}),
      attributes: kept,
    };
    changed.set(inode, next);
    node.inode = next;
  }
  return { setuid, attributes, hidden };
}

/** The folder of a volume. What the image has there stays, and is not seen while the volume is mounted. */
function makeVolume(tree: Tree, path: string): void {
  const parts = path.slice(1).split('/');
  for (let i = 1; i <= parts.length; i += 1) {
    const at = parts.slice(0, i).join('/');
    const node = tree.exact(at);
    if (node === undefined) tree.put(at, plainFolder());
    else if (node.inode.type !== 'directory')
      throw new MblError(
        'apps/bad-volume',
        `The volume ${path} cannot be: /${at} of the image is no folder.`,
        {
          remedy: `Give the volume another path${node.inode.type === 'symlink' ? `, such as where the link leads: ${node.inode.link}` : ''}.`,
        },
      );
  }
}

/** The entries of the file system, in the order of their paths; the first name of a file has its content, the others are hard links. */
export function* entriesOf(tree: Tree, spool: Spool): Generator<TarOutput> {
  const names = new Map<Inode, string>();
  for (const { path, node } of tree.walk()) {
    const { inode } = node;
    const { type, mode, uid, gid, time, content, attributes } = inode;
    const common = { path, mode, uid, gid, time, attributes };
    const first = names.get(inode);
    if (first !== undefined && type !== 'directory') {
      yield { ...common, type: 'hardlink', link: first, data: nothing, attributes: noAttributes };
      continue;
    }
    names.set(inode, path);
    yield {
      ...common,
      type,
      link: inode.link,
      get data() {
        return content === emptyContent || content.size === 0 ? nothing : spool.read(content);
      },
    };
  }
}

const nothing = Buffer.alloc(0);
const noAttributes: ReadonlyMap<string, Uint8Array> = new Map();
