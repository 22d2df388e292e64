// SPDX-License-Identifier: Apache-2.0

/** Option numbers by their registered names (RFC 7252 §5.10, RFC 7641 §2, RFC 7959 §2.1, §4). */
export const OptionNumber = {
  IF_MATCH: 1,
  URI_HOST: 3,
  ETAG: 4,
  IF_NONE_MATCH: 5,
  OBSERVE: 6,
  URI_PORT: 7,
  LOCATION_PATH: 8,
  URI_PATH: 11,
  CONTENT_FORMAT: 12,
  MAX_AGE: 14,
  URI_QUERY: 15,
  ACCEPT: 17,
  LOCATION_QUERY: 20,
  BLOCK2: 23,
  BLOCK1: 27,
  SIZE2: 28,
  PROXY_URI: 35,
  PROXY_SCHEME: 39,
  SIZE1: 60,
} as const;

/** Registered Content-Formats that this project meets (RFC 7252 §12.3, RFC 8428 §12.3, LwM2M Core 1.1 §7.4). */
export const ContentFormat = {
  TEXT: 0,
  LINK: 40,
  OCTET_STREAM: 42,
  JSON: 50,
  CBOR: 60,
  SENML_JSON: 110,
  SENML_CBOR: 112,
  LWM2M_TLV: 11542,
  LWM2M_JSON: 11543,
} as const;

export interface OptionDefinition {
  name: string;
  repeatable: boolean;
  /** Bytes of the value. */
  min: number;
  max: number;
}

/** RFC 7252 §5.10 table 4, RFC 7641 §2, RFC 7959 §2.1 and §4. */
const DEFINITIONS: ReadonlyMap<number, OptionDefinition> = new Map(
  (
    [
      [OptionNumber.IF_MATCH, 'If-Match', true, 0, 8],
      [OptionNumber.URI_HOST, 'Uri-Host', false, 1, 255],
      [OptionNumber.ETAG, 'ETag', true, 1, 8],
      [OptionNumber.IF_NONE_MATCH, 'If-None-Match', false, 0, 0],
      [OptionNumber.OBSERVE, 'Observe', false, 0, 3],
      [OptionNumber.URI_PORT, 'Uri-Port', false, 0, 2],
      [OptionNumber.LOCATION_PATH, 'Location-Path', true, 0, 255],
      [OptionNumber.URI_PATH, 'Uri-Path', true, 0, 255],
      [OptionNumber.CONTENT_FORMAT, 'Content-Format', false, 0, 2],
      [OptionNumber.MAX_AGE, 'Max-Age', false, 0, 4],
      [OptionNumber.URI_QUERY, 'Uri-Query', true, 0, 255],
      [OptionNumber.ACCEPT, 'Accept', false, 0, 2],
      [OptionNumber.LOCATION_QUERY, 'Location-Query', true, 0, 255],
      [OptionNumber.BLOCK2, 'Block2', false, 0, 3],
      [OptionNumber.BLOCK1, 'Block1', false, 0, 3],
      [OptionNumber.SIZE2, 'Size2', false, 0, 4],
      [OptionNumber.PROXY_URI, 'Proxy-Uri', false, 1, 1034],
      [OptionNumber.PROXY_SCHEME, 'Proxy-Scheme', false, 1, 255],
      [OptionNumber.SIZE1, 'Size1', false, 0, 4],
    ] as const
  ).map(([number, name, repeatable, min, max]) => [number, { name, repeatable, min, max }]),
);

export function optionDefinition(number: number): OptionDefinition | undefined {
  return DEFINITIONS.get(number);
}

/** Odd numbers are critical (RFC 7252 §5.4.6). */
export function isCritical(number: number): boolean {
  return (number & 1) === 1;
}

/** `Uri-Path`, or the number of an option that has no name here. */
export function optionName(number: number): string {
  return DEFINITIONS.get(number)?.name ?? `option ${number}`;
}
