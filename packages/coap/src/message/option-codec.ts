// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import type { CoapOption, CoapOptions } from '../options.ts';
import { EMPTY_BYTES, PAYLOAD_MARKER } from './message.ts';

const LARGEST_OPTION_NUMBER = 0xffff;
const LARGEST_EXTENDED = 0xffff + 269;

/** Ascending by number, repeated options in their given order (RFC 7252 §3.1). */
export function sortOptions(options: CoapOptions): CoapOptions {
  const ascending = options.every((option, i) => i === 0 || (options[i - 1]?.number ?? 0) <= option.number);
  return ascending ? options : options.toSorted((a, b) => a.number - b.number);
}

/** Bytes that options, payload marker and payload take on the wire. */
export function bodySize(options: CoapOptions, payload: Uint8Array): number {
  let size = payload.length === 0 ? 0 : payload.length + 1;
  let previous = 0;
  for (const { number, value } of sortOptions(options)) {
    size += 1 + extensionSize(number - previous) + extensionSize(value.length) + value.length;
    previous = number;
  }
  return size;
}

/** Writes options, marker and payload at `offset` of `target`, which has `bodySize` bytes left there. */
export function writeBody(
  target: Uint8Array,
  offset: number,
  options: CoapOptions,
  payload: Uint8Array,
): void {
  let at = offset;
  let previous = 0;
  for (const { number, value } of sortOptions(options)) {
    if (!Number.isInteger(number) || number < 0 || number > LARGEST_OPTION_NUMBER) {
      throw new CoapError('coap/bad-argument', `${number} is no option number: 0 to 65535`);
    }
    if (value.length > LARGEST_EXTENDED) {
      throw new CoapError('coap/bad-argument', `option ${number} has ${value.length} bytes, more than fit`);
    }
    const delta = number - previous;
    target[at] = (nibble(delta) << 4) | nibble(value.length);
    at = writeExtension(target, at + 1, delta);
    at = writeExtension(target, at, value.length);
    target.set(value, at);
    at += value.length;
    previous = number;
  }
  if (payload.length > 0) {
    target[at] = PAYLOAD_MARKER;
    target.set(payload, at + 1);
  }
}

/**
 * Reads options and payload from `offset` to the end of `bytes`; the values share its memory.
 * Throws `coap/message-format`.
 */
export function readBody(
  bytes: Uint8Array,
  offset: number,
  maxOptions: number,
): { options: CoapOption[]; payload: Uint8Array } {
  const options: CoapOption[] = [];
  let at = offset;
  let number = 0;
  while (at < bytes.length) {
    const head = bytes[at++] as number;
    if (head === PAYLOAD_MARKER) {
      if (at === bytes.length) throw malformed('a payload marker is followed by no payload');
      return { options, payload: bytes.subarray(at) };
    }
    if (options.length === maxOptions) throw malformed(`there are more than ${maxOptions} options`);
    const deltaExtension = extensionLength(head >> 4);
    const delta = readExtended(bytes, at, head >> 4);
    at += deltaExtension;
    const length = readExtended(bytes, at, head & 0x0f);
    at += extensionLength(head & 0x0f);
    number += delta;
    if (number > LARGEST_OPTION_NUMBER) throw malformed(`option number ${number} is over 65535`);
    if (at + length > bytes.length) throw malformed(`option ${number} ends after the message`);
    options.push({ number, value: bytes.subarray(at, at + length) });
    at += length;
  }
  return { options, payload: EMPTY_BYTES };
}

export function malformed(what: string): CoapError {
  return new CoapError('coap/message-format', `the message is malformed: ${what}`);
}

function nibble(value: number): number {
  return value < 13 ? value : value < 269 ? 13 : 14;
}

function extensionSize(value: number): number {
  return value < 13 ? 0 : value < 269 ? 1 : 2;
}

function writeExtension(target: Uint8Array, at: number, value: number): number {
  if (value < 13) return at;
  if (value < 269) {
    target[at] = value - 13;
    return at + 1;
  }
  target[at] = (value - 269) >> 8;
  target[at + 1] = (value - 269) & 0xff;
  return at + 2;
}

function extensionLength(code: number): number {
  return code === 13 ? 1 : code === 14 ? 2 : 0;
}

function readExtended(bytes: Uint8Array, at: number, code: number): number {
  if (code < 13) return code;
  // 15 is reserved for the payload marker (RFC 7252 §3.1).
  if (code === 15) throw malformed('an option uses the reserved length or delta 15');
  if (at + extensionLength(code) > bytes.length) throw malformed('an option header is cut off');
  const first = bytes[at] as number;
  return code === 13 ? first + 13 : ((first << 8) | (bytes[at + 1] as number)) + 269;
}
