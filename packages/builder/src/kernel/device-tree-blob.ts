// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

/** A property's value, a view into the bytes that were read. */
export interface BlobProperty {
  readonly name: string;
  readonly value: Uint8Array;
}

export interface BlobNode {
  /** Empty for the root. */
  readonly name: string;
  readonly properties: readonly BlobProperty[];
  readonly children: readonly BlobNode[];
}

/** A flattened device tree; a FIT is one too. */
export interface DeviceTreeBlob {
  /** Bytes from the first to the last; more may lie behind. */
  readonly size: number;
  readonly root: BlobNode;
  /** The block of the properties' names, as it stands. */
  readonly strings: Uint8Array;
}

// Devicetree Specification 0.4 §5.2, §5.4.1.
const magic = 0xd00dfeed;
const headerSize = 40;
const token = { beginNode: 1, endNode: 2, property: 3, nop: 4, end: 9 } as const;
const limits = { depth: 32, entries: 20_000, name: 256 } as const;

/**
 * Reads a flattened device tree (Devicetree Specification 0.4 §5, version 17) from the start of `bytes`. For bytes of any origin: throws
 * nothing but `builder/bad-device-tree`, and holds at most 20,000 nodes and properties, 32 levels deep.
 */
export function readDeviceTreeBlob(bytes: Uint8Array): DeviceTreeBlob {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length < headerSize || all.readUInt32BE(0) !== magic) throw bad('it does not start with its magic');
  const size = all.readUInt32BE(4);
  if (size < headerSize || size > all.length) throw bad('it is cut off');
  if (all.readUInt32BE(24) > 17 || all.readUInt32BE(20) < 17) throw bad('it is not of version 17');
  const block = (offsetAt: number, sizeAt: number): Buffer => {
    const [offset, length] = [all.readUInt32BE(offsetAt), all.readUInt32BE(sizeAt)];
    if (offset + length > size) throw bad('a block ends outside of it');
    return all.subarray(offset, offset + length);
  };
  const strings = block(12, 32);
  return { size, root: new StructureReader(block(8, 36), strings).readRoot(), strings };
}

class StructureReader {
  readonly #structure: Buffer;
  readonly #strings: Buffer;
  #position = 0;
  #entries = 0;

  constructor(structure: Buffer, strings: Buffer) {
    this.#structure = structure;
    this.#strings = strings;
  }

  readRoot(): BlobNode {
    if (this.#token() !== token.beginNode) throw bad('it has no root');
    const root = this.#node(0);
    if (root.name !== '' || this.#token() !== token.end) throw bad('it does not end behind its root');
    return root;
  }

  #node(depth: number): BlobNode {
    if (depth >= limits.depth) throw bad(`it has more than ${limits.depth} levels`);
    const name = this.#text(this.#structure, this.#position);
    this.#position += (name.length + 1 + 3) & ~3;
    const properties: BlobProperty[] = [];
    const children: BlobNode[] = [];
    for (;;) {
      const next = this.#token();
      if (next === token.endNode) return { name, properties, children };
      if (++this.#entries > limits.entries) throw bad(`it has more than ${limits.entries} entries`);
      if (next === token.beginNode) children.push(this.#node(depth + 1));
      else if (next === token.property && children.length === 0) properties.push(this.#property());
      else throw bad('its structure is not well formed');
    }
  }

  #property(): BlobProperty {
    const length = this.#word();
    const name = this.#text(this.#strings, this.#word());
    const end = this.#position + length;
    if (end > this.#structure.length) throw bad('a property is cut off');
    const value = this.#structure.subarray(this.#position, end);
    this.#position = (end + 3) & ~3;
    return { name, value };
  }

  #token(): number {
    for (;;) {
      const word = this.#word();
      if (word !== token.nop) return word;
    }
  }

  #word(): number {
    if (this.#position + 4 > this.#structure.length) throw bad('its structure is cut off');
    this.#position += 4;
    return this.#structure.readUInt32BE(this.#position - 4);
  }

  #text(block: Buffer, offset: number): string {
    const end = block.subarray(offset, offset + limits.name).indexOf(0);
    if (end < 0) throw bad('a name does not end');
    return block.toString('latin1', offset, offset + end);
  }
}

/** The node at `path` (`/images/kernel`), or undefined. */
export function findNode(root: BlobNode, path: string): BlobNode | undefined {
  let node: BlobNode | undefined = root;
  for (const name of path.split('/').filter((part) => part !== ''))
    node = node?.children.find((child) => child.name === name);
  return node;
}

/** A property's value, or undefined. */
export function propertyOf(node: BlobNode | undefined, name: string): Uint8Array | undefined {
  return node?.properties.find((property) => property.name === name)?.value;
}

function bad(what: string): MblError {
  return new MblError('builder/bad-device-tree', `The device tree blob cannot be read: ${what}.`, {
    remedy: 'Build the image again with: ./mbl build',
  });
}
