// SPDX-License-Identifier: Apache-2.0
import { isId } from '../path.ts';
import type { Lwm2mValue, ObjectLink, ResourceType } from '../values.ts';
import { compactInteger, fitValue, invalidValue, isObjectLink } from '../values.ts';
import type { Codec } from './codec.ts';
import { checkSize, decodeUtf8 } from './limits.ts';
import { onlyNode, typeOfNode, typeOfPath } from './single.ts';

/** text/plain (LwM2M Core 1.1 §7.4.1): one value as the text of its type (Appendix C). */
export const textCodec: Codec = {
  encode(nodes, base, model) {
    const node = onlyNode(nodes, base);
    const type = typeOfNode(node, model);
    return new TextEncoder().encode(valueToText(fitValue(node.value, type)));
  },
  decode(payload, base, model) {
    checkSize(payload);
    return [
      {
        path: base,
        value: textToValue(decodeUtf8(payload, 'text/plain'), typeOfPath(base, model) ?? 'string'),
      },
    ];
  },
};

export function valueToText(value: Lwm2mValue): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (value instanceof Uint8Array) return value.toBase64();
  if (isObjectLink(value)) return formatObjectLink(value);
  return String(value);
}

const integerText = /^[+-]?\d{1,20}$/;
const floatText = /^[+-]?(?:\d{1,310}(?:\.\d{0,310})?|\.\d{1,310})(?:[eE][+-]?\d{1,4})?$/;

/** Throws `lwm2m/value-invalid` (4.00). */
export function textToValue(text: string, type: ResourceType): Lwm2mValue {
  switch (type) {
    case 'integer':
    case 'unsigned':
    case 'time':
      if (integerText.test(text)) return fitValue(compactInteger(BigInt(text.replace('+', ''))), type);
      break;
    case 'float':
      if (floatText.test(text)) return Number(text);
      if (/^(?:-?Infinity|NaN)$/.test(text)) return Number(text);
      break;
    case 'boolean':
      if (text === '0' || text === '1') return text === '1';
      break;
    case 'opaque':
      return decodeBase64(text, 'base64');
    case 'objlnk':
      return parseObjectLink(text);
    case 'string':
    case 'corelnk':
      return text;
    case 'none':
      break;
  }
  throw invalidValue(type, 'other text');
}

export function formatObjectLink(link: ObjectLink): string {
  return `${link.objectId}:${link.instanceId}`;
}

/** Parses `66:0` (LwM2M Core 1.1 Appendix C). Throws `lwm2m/value-invalid` (4.00). */
export function parseObjectLink(text: string): ObjectLink {
  const [, object = '', instance = ''] = /^(\d{1,5}):(\d{1,5})$/.exec(text) ?? [];
  const ids = [object, instance].map((id) => (id === '' ? Number.NaN : Number(id)));
  const [objectId = Number.NaN, instanceId = Number.NaN] = ids;
  if (!ids.every((id) => isId(id) || id === 0xffff)) throw invalidValue('objlnk', 'other text');
  return { objectId, instanceId };
}

/** Throws `lwm2m/value-invalid` (4.00). */
export function decodeBase64(text: string, alphabet: 'base64' | 'base64url'): Uint8Array {
  try {
    return Uint8Array.fromBase64(text, { alphabet });
  } catch {
    throw invalidValue('opaque', `text that is not ${alphabet}`);
  }
}
