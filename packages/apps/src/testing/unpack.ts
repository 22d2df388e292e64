// SPDX-License-Identifier: Apache-2.0
import { tmpdir } from 'node:os';
import { Spool } from '../layers/spool.ts';
import { defaultLimits, type Limits } from '../limits.ts';
import type { Layer } from '../image/layer.ts';
import type { Tree } from '../root/tree.ts';
import { unpackLayers } from '../root/unpack.ts';

/** A layer of bytes, in pieces of a size that fits nothing. */
export function layerOfBytes(bytes: Buffer, piece = 700): Layer {
  return {
    async *read() {
      for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
    },
  };
}

/** Unpacks tar archives as layers, and shows the tree while its contents can be read. */
export async function unpackTars<T>(
  tars: readonly Buffer[],
  look: (tree: Tree, spool: Spool) => T | Promise<T>,
  limits: Partial<Limits> = {},
): Promise<T> {
  await using spool = await Spool.open(tmpdir());
  const layers = tars.map((bytes) => layerOfBytes(bytes));
  const tree = await unpackLayers(layers, spool, { ...defaultLimits, ...limits });
  return await look(tree, spool);
}

/** Every name of a tree, a folder with a slash, a link with its target, a file with its content. */
export function listTree(tree: Tree, spool: Spool): string[] {
  return [...tree.walk()].slice(1).map(({ path, node: { inode } }) => {
    if (inode.type === 'directory') return `${path}/`;
    return inode.type === 'symlink'
      ? `${path} -> ${inode.link}`
      : `${path} ${spool.read(inode.content).toString()}`;
  });
}
