// SPDX-License-Identifier: Apache-2.0
import { fitValue, invalidValue } from '../values.ts';
import type { Codec } from './codec.ts';
import { checkSize } from './limits.ts';
import { onlyNode, typeOfNode, typeOfPath } from './single.ts';

/** application/octet-stream (LwM2M Core 1.1 §7.4.2): the bytes of one opaque value. */
export const opaqueCodec: Codec = {
  encode(nodes, base, model) {
    const node = onlyNode(nodes, base);
    const type = typeOfNode(node, model);
    const value = fitValue(node.value, 'opaque');
    if (type !== 'opaque' || !(value instanceof Uint8Array))
      throw invalidValue('opaque', `one of type ${type}`);
    return value;
  },
  decode(payload, base, model) {
    checkSize(payload);
    const type = typeOfPath(base, model) ?? 'opaque';
    if (type !== 'opaque') throw invalidValue(type, 'octet-stream');
    return [{ path: base, value: payload }];
  },
};
