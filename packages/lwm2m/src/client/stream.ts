// SPDX-License-Identifier: Apache-2.0
import type { BodySink, CoapRequest, CoapResponse } from '@mbl/coap';
import {
  Code,
  CoapError,
  ContentFormat,
  contentFormat,
  OptionNumber,
  uintValue,
  uriPath,
  uriQuery,
} from '@mbl/coap';
import { errorResponse, message } from '../messages.ts';
import type { Path } from '../path.ts';
import { parseSegments } from '../path.ts';
import type { ValueSink } from './instance.ts';
import type { ObjectTree } from './object-tree.ts';

/**
 * Where the value goes that a Write of one opaque resource (LwM2M Core 1.1 §6.3.3) brings in blocks: as octets, the only format that has no beginning
 * and no end to be read. Undefined: for the whole request to be answered. `written` is told once the value is whole.
 */
export function openStream(
  tree: ObjectTree,
  first: CoapRequest,
  written: (path: Path) => void,
): BodySink | CoapResponse | undefined {
  if (first.code !== Code.PUT) return undefined;
  try {
    if (uriQuery(first.options).length > 0) return undefined;
    if ((contentFormat(first.options) ?? ContentFormat.OCTET_STREAM) !== ContentFormat.OCTET_STREAM)
      return undefined;
    const path = parseSegments(uriPath(first.options));
    const [, , resourceId] = path;
    if (path.length !== 3 || resourceId === undefined) return undefined;
    const instance = tree.instance(path);
    const { type, operations } = tree.resource(instance, resourceId);
    if (type !== 'opaque' || !operations.includes('W')) return undefined;
    const sink = instance.stream?.(resourceId, uintValue(first.options, OptionNumber.SIZE1));
    return sink && bodySink(sink, () => written(path));
  } catch (error) {
    return refusal(error);
  }
}

function bodySink(sink: ValueSink, written: () => void): BodySink {
  return {
    async write(bytes) {
      try {
        await sink.write(bytes);
        return undefined;
      } catch (error) {
        return errorResponse(error);
      }
    },
    async end() {
      try {
        await sink.end();
      } catch (error) {
        return errorResponse(error);
      }
      written();
      return message(Code.CHANGED);
    },
    abort: (reason) => sink.abort(reason),
  };
}

/** Nobody hears of what is thrown before there is a sink: it has to be an answer. */
function refusal(error: unknown): CoapResponse {
  if (error instanceof CoapError && error.code === 'coap/bad-option') return message(Code.BAD_OPTION);
  try {
    return errorResponse(error);
  } catch {
    return message(Code.INTERNAL_SERVER_ERROR);
  }
}
