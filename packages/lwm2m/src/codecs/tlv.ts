// SPDX-License-Identifier: Apache-2.0
import type { ObjectModel } from '../model/model.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import { isId } from '../path.ts';
import type { Codec } from './codec.ts';
import { checkNodeCount, checkSize, malformed } from './limits.ts';
import { typeOfNode } from './single.ts';
import { bytesToValue, valueToBytes } from './tlv-values.ts';

const format = 'TLV';

/** Bits 7-6 of the type byte (LwM2M Core 1.1 §7.4.3). */
const kinds = { objectInstance: 0, resourceInstance: 1, multipleResource: 2, resource: 3 } as const;

interface Entry {
  kind: number;
  id: number;
  value: Uint8Array;
}

/** application/vnd.oma.lwm2m+tlv (LwM2M Core 1.1 §7.4.3). */
export const tlvCodec: Codec = {
  encode(nodes, base, model) {
    if (base.length === 0) throw malformed(format, 'it cannot carry more than one object');
    return base.length === 1 ? encodeInstances(nodes, model) : encodeResources(nodes, model);
  },
  decode(payload, base, model) {
    checkSize(payload);
    if (base.length === 0) throw malformed(format, 'it cannot carry more than one object');
    const nodes: Node[] = [];
    for (const entry of entries(payload)) {
      decodeEntry(entry, base, model, nodes);
      checkNodeCount(nodes.length);
    }
    return nodes;
  },
};

/** Whether the payload is a list of object instances, not of one instance's resources. */
export function startsWithInstance(payload: Uint8Array): boolean {
  return payload.length > 0 && (payload[0] ?? 0) >> 6 === kinds.objectInstance;
}

function encodeInstances(nodes: readonly Node[], model: ObjectModel): Uint8Array {
  const groups = Map.groupBy(nodes, (node) => node.path[1] ?? 0);
  return concat(
    Array.from(groups, ([id, group]) => writeEntry(kinds.objectInstance, id, encodeResources(group, model))),
  );
}

function encodeResources(nodes: readonly Node[], model: ObjectModel): Uint8Array {
  const groups = Map.groupBy(nodes, (node) => node.path[2] ?? 0);
  return concat(
    Array.from(groups, ([id, group]) => {
      const [first] = group;
      if (first !== undefined && first.path.length === 3) {
        return writeEntry(kinds.resource, id, valueToBytes(first.value, typeOfNode(first, model)));
      }
      const instances = group.map((node) =>
        writeEntry(
          kinds.resourceInstance,
          node.path[3] ?? 0,
          valueToBytes(node.value, typeOfNode(node, model)),
        ),
      );
      return writeEntry(kinds.multipleResource, id, concat(instances));
    }),
  );
}

function writeEntry(kind: number, id: number, value: Uint8Array): Uint8Array {
  const lengthBytes = value.length < 8 ? 0 : value.length < 0x100 ? 1 : value.length < 0x1_0000 ? 2 : 3;
  const header = [
    (kind << 6) | (id > 0xff ? 0x20 : 0) | (lengthBytes << 3) | (lengthBytes === 0 ? value.length : 0),
    ...(id > 0xff ? [id >> 8, id & 0xff] : [id]),
  ];
  for (let shift = (lengthBytes - 1) * 8; shift >= 0; shift -= 8) header.push((value.length >> shift) & 0xff);
  return concat([Uint8Array.from(header), value]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function* entries(payload: Uint8Array): Generator<Entry> {
  let at = 0;
  const takeNumber = (length: number): number => {
    let number = 0;
    for (const byte of take(length)) number = number * 256 + byte;
    return number;
  };
  const take = (length: number): Uint8Array => {
    if (at + length > payload.length) throw malformed(format, `it ends inside the entry at byte ${at}`);
    const taken = payload.subarray(at, at + length);
    at += length;
    return taken;
  };
  for (let count = 1; at < payload.length; count++) {
    checkNodeCount(count);
    const type = takeNumber(1);
    const id = takeNumber((type & 0x20) === 0 ? 1 : 2);
    if (!isId(id)) throw malformed(format, `identifier ${id} is reserved`);
    const lengthBytes = (type >> 3) & 3;
    const length = lengthBytes === 0 ? type & 7 : takeNumber(lengthBytes);
    yield { kind: type >> 6, id, value: take(length) };
  }
}

/** What an entry may be depends on where the operation's path stands (LwM2M Core 1.1 §7.4.3). */
function decodeEntry({ kind, id, value }: Entry, base: Path, model: ObjectModel, nodes: Node[]): void {
  if (kind === kinds.objectInstance) {
    if (base.length > 2) throw misplaced(kind, id);
    const instance = below(base, 1, id);
    for (const entry of entries(value)) {
      if (entry.kind === kinds.objectInstance) throw misplaced(entry.kind, entry.id);
      decodeEntry(entry, instance, model, nodes);
    }
    return;
  }
  if (kind === kinds.resourceInstance) {
    if (base.length < 3) throw misplaced(kind, id);
    const path = below(base, 3, id);
    nodes.push({ path, value: bytesToValue(value, model.resource(path)?.type) });
    return;
  }
  if (base.length < 2) throw misplaced(kind, id);
  const path = below(base, 2, id);
  if (kind === kinds.resource) {
    if (base.length === 4) throw misplaced(kind, id);
    nodes.push({ path, value: bytesToValue(value, model.resource(path)?.type) });
    return;
  }
  for (const entry of entries(value)) {
    if (entry.kind !== kinds.resourceInstance) throw misplaced(entry.kind, entry.id);
    decodeEntry(entry, base.length === 4 ? base : path, model, nodes);
  }
}

/** The path of an entry whose identifier is the path's number `depth`: the base names it already or is its parent. */
function below(base: Path, depth: number, id: number): Path {
  if (base.length === depth) return [...base, id];
  if (base[depth] !== id) throw malformed(format, `identifier ${id} is not the one in the path`);
  return base.slice(0, depth + 1);
}

function misplaced(kind: number, id: number): Error {
  return malformed(format, `an entry of kind ${kind} with identifier ${id} has no place there`);
}
