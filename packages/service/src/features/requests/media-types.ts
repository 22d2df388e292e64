// SPDX-License-Identifier: Apache-2.0
import { ContentFormat } from '@mbl/coap';

const names: readonly (readonly [number, string])[] = [
  [ContentFormat.TEXT, 'text/plain'],
  [ContentFormat.LINK, 'application/link-format'],
  [ContentFormat.OCTET_STREAM, 'application/octet-stream'],
  [ContentFormat.JSON, 'application/json'],
  [ContentFormat.CBOR, 'application/cbor'],
  [ContentFormat.SENML_JSON, 'application/senml+json'],
  [ContentFormat.SENML_CBOR, 'application/senml+cbor'],
  [ContentFormat.LWM2M_TLV, 'application/vnd.oma.lwm2m+tlv'],
  [ContentFormat.LWM2M_JSON, 'application/vnd.oma.lwm2m+json'],
];

/** A media type, its parameters aside, or a number as the CoAP content format; undefined for one that has none. */
export function toContentFormat(mediaType: string): number | undefined {
  const plain = mediaType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (/^\d{1,5}$/.test(plain) && Number(plain) <= 65_535) return Number(plain);
  return names.find(([, name]) => name === plain)?.[0];
}

/** A content format as a media type, or as its number when it has no name here. */
export function toMediaType(format: number | undefined): string {
  if (format === undefined) return 'text/plain';
  return names.find(([number]) => number === format)?.[1] ?? String(format);
}
