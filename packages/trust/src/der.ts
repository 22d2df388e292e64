// SPDX-License-Identifier: Apache-2.0
import { MblError } from './errors.ts';

/** One element of DER (X.690 §8.1). `content` and `raw` are views into the bytes that were read. */
export interface DerElement {
  /** The identifier octet: class, constructed bit and number. Numbers above 30 are refused. */
  readonly tag: number;
  readonly content: Uint8Array;
  /** Identifier, length and content. */
  readonly raw: Uint8Array;
}

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Larger inputs are refused unread: no certificate, request or chain that MBL handles comes near it. */
export const maxDerBytes = 64 * 1024;
const maxElements = 256;

/** A malformed or oversized DER input. */
export function derError(what: string): MblError {
  return new MblError('trust/malformed', `malformed ASN.1: ${what}`);
}

function readAt(bytes: Uint8Array, offset: number): DerElement {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw derError('truncated element');
  if ((tag & 0x1f) === 0x1f) throw derError('tag number above 30');
  let length = first;
  let start = offset + 2;
  if (first >= 0x80) {
    // DER: definite, in the fewest octets (X.690 §10.1). Three octets already exceed maxDerBytes.
    const octets = first & 0x7f;
    if (octets === 0 || octets > 3) throw derError('indefinite or oversized length');
    length = 0;
    for (let i = 0; i < octets; i++) {
      const octet = bytes[start + i];
      if (octet === undefined) throw derError('truncated length');
      length = length * 256 + octet;
    }
    start += octets;
    if (length < 0x80 || (octets > 1 && length < 256 ** (octets - 1))) throw derError('length not minimal');
  }
  const end = start + length;
  if (end > bytes.length) throw derError('element longer than its container');
  return { tag, content: bytes.subarray(start, end), raw: bytes.subarray(offset, end) };
}

/** Reads exactly one element of at most 64 KiB; bytes after it are an error. */
export function readDer(bytes: Uint8Array, tag?: number): DerElement {
  if (bytes.length > maxDerBytes) throw derError(`more than ${maxDerBytes} bytes`);
  const element = readAt(bytes, 0);
  if (element.raw.length !== bytes.length) throw derError('bytes after the end');
  return tag === undefined ? element : expectTag(element, tag);
}

/** The elements inside a constructed one, one level down; at most 256. */
export function readChildren(element: DerElement): DerElement[] {
  const children: DerElement[] = [];
  for (let offset = 0; offset < element.content.length; ) {
    if (children.length === maxElements) throw derError(`more than ${maxElements} elements`);
    const child = readAt(element.content, offset);
    children.push(child);
    offset += child.raw.length;
  }
  return children;
}

/** The element if it is there and has the tag, else an error. */
export function expectTag(element: DerElement | undefined, tag: number): DerElement {
  if (element?.tag !== tag) throw derError(`expected tag 0x${tag.toString(16)}, found ${describe(element)}`);
  return element;
}

function describe(element: DerElement | undefined): string {
  return element === undefined ? 'the end' : `0x${element.tag.toString(16)}`;
}

/** An OBJECT IDENTIFIER as dotted decimal. */
export function readOid(element: DerElement | undefined): string {
  const { content } = expectTag(element, tags.oid);
  if (content.length === 0 || content.length > 64) throw derError('length of an object identifier');
  const arcs: number[] = [];
  let value = 0;
  for (const [i, octet] of content.entries()) {
    if (value === 0 && octet === 0x80) throw derError('object identifier not minimal');
    value = value * 128 + (octet & 0x7f);
    if (value > 0xffffffff) throw derError('object identifier arc above 32 bits');
    if (octet >= 0x80) {
      if (i === content.length - 1) throw derError('truncated object identifier');
      continue;
    }
    if (arcs.length === 0) {
      const top = Math.min(2, Math.floor(value / 40));
      arcs.push(top, value - top * 40);
    } else {
      arcs.push(value);
    }
    value = 0;
  }
  return arcs.join('.');
}

/** A BIT STRING of whole octets. */
export function readBitString(element: DerElement | undefined): Uint8Array {
  const { content } = expectTag(element, tags.bitString);
  if (content[0] !== 0) throw derError('bit string with unused bits');
  return content.subarray(1);
}

/** Encodes an element around the concatenation of `parts`. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const header = [tag];
  if (length < 0x80) header.push(length);
  else if (length < 0x100) header.push(0x81, length);
  else if (length < 0x10000) header.push(0x82, length >> 8, length & 0xff);
  else header.push(0x83, length >> 16, (length >> 8) & 0xff, length & 0xff);
  return Buffer.concat([Buffer.from(header), content]);
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(tags.sequence, ...parts);
}

/** [n] EXPLICIT, or IMPLICIT of a constructed type. */
export function contextual(n: number, ...parts: readonly Uint8Array[]): Buffer {
  return der(0xa0 | n, ...parts);
}

/** An INTEGER from an unsigned big-endian number. */
export function unsignedInteger(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const minimal = bytes.subarray(start);
  const sign = (minimal[0] ?? 0) >= 0x80 || minimal.length === 0 ? [Buffer.of(0)] : [];
  return der(tags.integer, ...sign, minimal);
}

export function oid(dotted: string): Buffer {
  const [top = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const octets: number[] = [];
  for (const arc of [top * 40 + second, ...rest]) {
    const groups = [arc & 0x7f];
    for (let high = Math.floor(arc / 128); high > 0; high = Math.floor(high / 128)) {
      groups.unshift((high & 0x7f) | 0x80);
    }
    octets.push(...groups);
  }
  return der(tags.oid, Buffer.from(octets));
}

export function utf8String(text: string): Buffer {
  return der(tags.utf8String, Buffer.from(text, 'utf8'));
}

export function octetString(bytes: Uint8Array): Buffer {
  return der(tags.octetString, bytes);
}

export function bitString(bytes: Uint8Array): Buffer {
  return der(tags.bitString, Buffer.of(0), bytes);
}

/** UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). Fractions of a second are dropped. */
export function time(date: Date): Buffer {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:T]/g, '');
  const year = date.getUTCFullYear();
  return year >= 1950 && year < 2050
    ? der(tags.utcTime, Buffer.from(digits.slice(2), 'ascii'))
    : der(tags.generalizedTime, Buffer.from(digits, 'ascii'));
}

/** PEM with 64 columns (RFC 7468). */
export function toPem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
