// SPDX-License-Identifier: Apache-2.0
import { badImage } from '../errors.ts';
import { shown } from '../layers/names.ts';
import type { LayerEntry } from '../layers/read-layer.ts';
import { type Content, emptyContent } from '../layers/spool.ts';

/** A file, a folder or a link; names that are hard links of each other share one. */
export interface Inode {
  readonly type: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: number;
  readonly link: string;
  readonly content: Content;
  readonly attributes: ReadonlyMap<string, Buffer>;
}

/** A name in a folder. */
export interface Node {
  inode: Inode;
  /** The layer that brought it: whiteouts of the same layer leave it alone. */
  layer: number;
  readonly children: Map<string, Node>;
}

const noAttributes: ReadonlyMap<string, Buffer> = new Map();
const mostSteps = 1024;

/** A folder that nobody described. */
export function plainFolder(mode = 0o755): Inode {
  const common = { uid: 0, gid: 0, time: 0, link: '', content: emptyContent, attributes: noAttributes };
  return { type: 'directory', mode, ...common };
}

export function plainFile(content: Content = emptyContent, mode = 0o644): Inode {
  return { ...plainFolder(mode), type: 'file', content };
}

/**
 * The root file system of an image in memory, without its contents. Links are followed within it, as the app will: nothing leads out.
 */
export class Tree {
  readonly root: Node = { inode: plainFolder(), layer: -1, children: new Map() };

  /** Lays an entry of a layer over what is there (OCI image-spec, layer.md, "Applying Changesets"). */
  apply(entry: LayerEntry, layer: number): void {
    const { parts } = entry;
    const name = parts.at(-1);
    if (name === undefined) {
      if (entry.type !== 'directory') throw badImage('its root is no folder');
      this.root.inode = inodeOf(entry, 'directory');
      return;
    }
    if (name.startsWith('.wh.')) {
      this.#whiteout(parts.slice(0, -1), name, layer);
      return;
    }
    if (parts.some((part) => part.startsWith('.wh.')))
      throw badImage(`/${shown(parts.join('/'))} lies below a whiteout`);
    const folder = this.#folder(parts.slice(0, -1), layer);
    const before = folder.children.get(name);
    if (entry.type === 'hardlink') {
      const target = this.#exact(entry.target);
      if (target === undefined || target.inode.type === 'directory')
        throw badImage(
          `the hard link /${shown(parts.join('/'))} leads to /${shown(entry.target.join('/'))}, which is ${target === undefined ? 'not there' : 'a folder'}`,
        );
      if (target !== before) folder.children.set(name, { inode: target.inode, layer, children: new Map() });
      return;
    }
    const inode = inodeOf(entry, entry.type);
    if (before !== undefined && inode.type === 'directory' && before.inode.type === 'directory') {
      before.inode = inode;
      before.layer = layer;
      return;
    }
    folder.children.set(name, { inode, layer, children: new Map() });
  }

  /** What is at a path, its links followed; undefined where nothing is. */
  find(path: string): Node | undefined {
    return this.#walk(path.split('/'), () => undefined);
  }

  /** What is at a path, links not followed. */
  exact(path: string): Node | undefined {
    return this.#exact(path.split('/').filter((part) => part !== ''));
  }

  /** Puts something at a path whose folders are no links, in the place of what is there. */
  put(path: string, inode: Inode): Node {
    const parts = path.split('/').filter((part) => part !== '');
    const name = parts.pop() ?? '';
    let at = this.root;
    for (const part of parts) {
      let next = at.children.get(part);
      if (next === undefined || next.inode.type !== 'directory') {
        next = { inode: plainFolder(), layer: -1, children: new Map() };
        at.children.set(part, next);
      }
      at = next;
    }
    const node = { inode, layer: -1, children: new Map<string, Node>() };
    at.children.set(name, node);
    return node;
  }

  /** Every name, a folder before what is in it, in the order of their bytes. */
  *walk(): Generator<{ readonly path: string; readonly node: Node }> {
    const waiting: { path: string; node: Node }[] = [{ path: '', node: this.root }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      yield next;
      const { path, node } = next;
      const names = [...node.children].toSorted(([a], [b]) => Buffer.compare(Buffer.from(b), Buffer.from(a)));
      for (const [name, child] of names)
        waiting.push({ path: path === '' ? name : `${path}/${name}`, node: child });
    }
  }

  /** The folder at a path, made where it is not there; links are followed, as by containerd and umoci. */
  #folder(parts: readonly string[], layer: number): Node {
    const found = this.#walk(parts, (folder, name) => {
      const made = { inode: plainFolder(), layer, children: new Map<string, Node>() };
      folder.children.set(name, made);
      return made;
    });
    if (found?.inode.type === 'directory') return found;
    throw badImage(
      `something lies in /${shown(parts.join('/'))}, which is no folder, or a link that leads in a circle`,
    );
  }

  #walk(
    path: readonly string[],
    missing: (folder: Node, name: string) => Node | undefined,
  ): Node | undefined {
    let rest = path.toReversed();
    let at: Node[] = [this.root];
    // A path of links costs no more than a long path.
    for (let steps = 0; steps < mostSteps; steps += 1) {
      const part = rest.pop();
      const here = at.at(-1) ?? this.root;
      if (part === undefined) return here;
      if (part === '' || part === '.') continue;
      if (part === '..') {
        at.pop();
        continue;
      }
      if (here.inode.type !== 'directory') return undefined;
      const next = here.children.get(part) ?? missing(here, part);
      if (next === undefined) return undefined;
      if (next.inode.type === 'symlink') {
        const { link } = next.inode;
        if (link.startsWith('/')) at = [this.root];
        rest = [...rest, ...link.split('/').toReversed()];
      } else at.push(next);
    }
    return undefined;
  }

  #exact(parts: readonly string[]): Node | undefined {
    let at: Node | undefined = this.root;
    for (const part of parts) at = at?.children.get(part);
    return at;
  }

  #whiteout(parts: readonly string[], name: string, layer: number): void {
    // What the storage of old Docker versions kept for itself.
    if (name.startsWith('.wh..wh.') && name !== '.wh..wh..opq') return;
    const folder = this.#walk(parts, () => undefined);
    const hidden = name === '.wh..wh..opq' ? undefined : name.slice('.wh.'.length);
    if (hidden === '' || hidden === '.' || hidden === '..')
      throw badImage(`the whiteout "${name}" names nothing`);
    if (folder === undefined || folder.inode.type !== 'directory') return;
    for (const [child, node] of folder.children)
      if (hidden === undefined || hidden === child) this.#forget(folder, child, node, layer);
  }

  /** Takes away what older layers brought: the folder itself stays where this layer has put something into it. */
  #forget(folder: Node, name: string, node: Node, layer: number): void {
    const waiting: { folder: Node; name: string; node: Node; done: boolean }[] = [
      { folder, name, node, done: false },
    ];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (next.done) {
        if (next.node.layer < layer && next.node.children.size === 0) next.folder.children.delete(next.name);
        continue;
      }
      waiting.push({ ...next, done: true });
      for (const [each, child] of next.node.children)
        waiting.push({ folder: next.node, name: each, node: child, done: false });
    }
  }
}

function inodeOf(entry: LayerEntry, type: Inode['type']): Inode {
  const { mode, uid, gid, time, link, content, attributes } = entry;
  return { type, mode, uid, gid, time, link, content, attributes };
}
