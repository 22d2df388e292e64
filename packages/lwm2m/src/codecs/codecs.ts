// SPDX-License-Identifier: Apache-2.0
import { Code, ContentFormat } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import type { ObjectModel } from '../model/model.ts';
import { standardModel } from '../model/model.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import type { Codec } from './codec.ts';
import { cborCodec } from './cbor.ts';
import { lwm2mJsonCodec } from './lwm2m-json.ts';
import { opaqueCodec } from './opaque.ts';
import { pathRecords, pathsOfRecords } from './senml.ts';
import { decodeRecordsFromCbor, encodeRecordsAsCbor, senmlCborCodec } from './senml-cbor.ts';
import { decodeRecordsFromJson, encodeRecordsAsJson, senmlJsonCodec } from './senml-json.ts';
import { textCodec } from './text.ts';
import { tlvCodec } from './tlv.ts';

const codecs: ReadonlyMap<number, Codec> = new Map<number, Codec>([
  [ContentFormat.TEXT, textCodec],
  [ContentFormat.CBOR, cborCodec],
  [ContentFormat.OCTET_STREAM, opaqueCodec],
  [ContentFormat.SENML_JSON, senmlJsonCodec],
  [ContentFormat.SENML_CBOR, senmlCborCodec],
  [ContentFormat.LWM2M_TLV, tlvCodec],
  [ContentFormat.LWM2M_JSON, lwm2mJsonCodec],
]);

/** The formats for more than one value, the preferred first. */
export const compositeFormats: readonly number[] = [
  ContentFormat.SENML_JSON,
  ContentFormat.SENML_CBOR,
  ContentFormat.LWM2M_TLV,
  ContentFormat.LWM2M_JSON,
];

export function isSupportedFormat(contentFormat: number): boolean {
  return codecs.has(contentFormat);
}

function codec(contentFormat: number): Codec {
  const found = codecs.get(contentFormat);
  if (found === undefined) {
    throw new Lwm2mError('lwm2m/format-unsupported', `content format ${contentFormat} is not supported`, {
      status: Code.UNSUPPORTED_CONTENT_FORMAT,
    });
  }
  return found;
}

/** The values in a payload that belongs to `base`. Throws only `Lwm2mError`. */
export function decodeNodes(
  contentFormat: number,
  payload: Uint8Array,
  base: Path,
  model: ObjectModel = standardModel,
): Node[] {
  return codec(contentFormat).decode(payload, base, model);
}

/** A payload that carries `nodes`, all at or below `base`. Throws `Lwm2mError` where the format cannot. */
export function encodeNodes(
  contentFormat: number,
  nodes: readonly Node[],
  base: Path,
  model: ObjectModel = standardModel,
): Uint8Array {
  return codec(contentFormat).encode(nodes, base, model);
}

/** The paths that a composite operation names (LwM2M Core 1.1 §6.3.8). Throws only `Lwm2mError`. */
export function decodePaths(contentFormat: number, payload: Uint8Array): Path[] {
  if (contentFormat === ContentFormat.SENML_JSON) return pathsOfRecords(decodeRecordsFromJson(payload));
  if (contentFormat === ContentFormat.SENML_CBOR) return pathsOfRecords(decodeRecordsFromCbor(payload));
  throw new Lwm2mError('lwm2m/format-unsupported', `content format ${contentFormat} does not carry paths`, {
    status: Code.UNSUPPORTED_CONTENT_FORMAT,
  });
}

export function encodePaths(contentFormat: number, paths: readonly Path[]): Uint8Array {
  const records = pathRecords(paths);
  return contentFormat === ContentFormat.SENML_CBOR
    ? encodeRecordsAsCbor(records)
    : encodeRecordsAsJson(records);
}
