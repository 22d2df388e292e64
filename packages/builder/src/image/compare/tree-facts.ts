// SPDX-License-Identifier: Apache-2.0
import type { BlobNode, BlobProperty } from '../../kernel/device-tree-blob.ts';
import { type Facts, shortDigest } from './facts.ts';

/** What the value of a property means where it is a key, a signature or follows from one; undefined where it is neither. */
export type PropertyMeaning = (path: string, property: BlobProperty) => string | undefined;

/** A fact for each property of a device tree: the places are the paths of the nodes below `place`. */
export function addTree(facts: Facts, place: string, root: BlobNode, meaning: PropertyMeaning): void {
  const visit = (node: BlobNode, path: string): void => {
    facts.add(place + path, 'node', 'node');
    for (const property of node.properties) {
      const exact = readable(property.value);
      facts.add(place + path, property.name, exact, meaning(path, property) ?? exact);
    }
    for (const child of node.children) visit(child, `${path}/${child.name}`);
  };
  visit(root, '');
}

/** Texts as texts, short values in hex, long ones by size and digest. */
function readable(value: Uint8Array): string {
  const bytes = Buffer.from(value);
  if (value.length > 64) return `${value.length} bytes, ${shortDigest(value)}`;
  const text = bytes.toString('latin1');
  if (/^[\x20-\x7e]+(\0[\x20-\x7e]+)*\0$/.test(text)) return JSON.stringify(text.slice(0, -1).split('\0'));
  return bytes.toString('hex');
}
