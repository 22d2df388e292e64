// SPDX-License-Identifier: Apache-2.0
import { decode, encode } from 'cborg';
import type { Lwm2mValue, ResourceType } from '../values.ts';
import { compactInteger, fitValue, invalidValue, isObjectLink } from '../values.ts';
import type { Codec } from './codec.ts';
import { checkSize, malformed } from './limits.ts';
import { onlyNode, typeOfNode, typeOfPath } from './single.ts';
import { formatObjectLink, parseObjectLink } from './text.ts';

/** Tag 1, seconds since 1970 (RFC 8949 §3.4.2): how some clients mark a time. */
const epochTag = 1;

/** application/cbor (LwM2M Core 1.1 §7.4): one value as one data item. */
export const cborCodec: Codec = {
  encode(nodes, base, model) {
    const node = onlyNode(nodes, base);
    const value = fitValue(node.value, typeOfNode(node, model));
    return encode(isObjectLink(value) ? formatObjectLink(value) : value);
  },
  decode(payload, base, model) {
    checkSize(payload);
    return [{ path: base, value: toValue(decodeItem(payload), typeOfPath(base, model)) }];
  },
};

function decodeItem(payload: Uint8Array): unknown {
  try {
    return decode(payload, { tags: { [epochTag]: (value) => value() }, allowUndefined: false });
  } catch (cause) {
    throw malformed('CBOR', 'the bytes are not one item', cause);
  }
}

function toValue(item: unknown, type: ResourceType | undefined): Lwm2mValue {
  if (typeof item === 'string' && type === 'objlnk') return parseObjectLink(item);
  const plain = typeof item === 'bigint' ? compactInteger(item) : item;
  if (
    typeof plain === 'string' ||
    typeof plain === 'number' ||
    typeof plain === 'bigint' ||
    typeof plain === 'boolean' ||
    plain instanceof Uint8Array
  ) {
    return type === undefined ? plain : fitValue(plain, type);
  }
  throw invalidValue(type ?? 'string', 'a CBOR item of another kind');
}
