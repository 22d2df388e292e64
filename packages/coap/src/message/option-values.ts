// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import type { CoapOption, CoapOptions } from '../options.ts';
import { EMPTY_BYTES } from './message.ts';
import { OptionNumber, optionName } from './option-registry.ts';

/** An unsigned integer in the fewest bytes, none for 0 (RFC 7252 §3.2). */
export function uintOption(number: number, value: number): CoapOption {
  return { number, value: encodeUint(value) };
}

export function stringOption(number: number, value: string): CoapOption {
  return { number, value: new TextEncoder().encode(value) };
}

export function emptyOption(number: number): CoapOption {
  return { number, value: EMPTY_BYTES };
}

/** `/rd/5a3f` or its segments, as Uri-Path options (RFC 7252 §6.4). Give segments when one holds a slash. */
export function uriPathOptions(path: string | readonly string[]): CoapOption[] {
  return segments(path).map((segment) => stringOption(OptionNumber.URI_PATH, segment));
}

export function locationPathOptions(path: string | readonly string[]): CoapOption[] {
  return segments(path).map((segment) => stringOption(OptionNumber.LOCATION_PATH, segment));
}

/** `['ep=board-1', 'b=T']` as Uri-Query options. */
export function uriQueryOptions(query: readonly string[]): CoapOption[] {
  return query.map((argument) => stringOption(OptionNumber.URI_QUERY, argument));
}

export function contentFormatOption(format: number): CoapOption {
  return uintOption(OptionNumber.CONTENT_FORMAT, format);
}

export function acceptOption(format: number): CoapOption {
  return uintOption(OptionNumber.ACCEPT, format);
}

export function maxAgeOption(seconds: number): CoapOption {
  return uintOption(OptionNumber.MAX_AGE, seconds);
}

export function etagOption(tag: Uint8Array): CoapOption {
  return { number: OptionNumber.ETAG, value: tag };
}

export function findOption(options: CoapOptions, number: number): CoapOption | undefined {
  return options.find((option) => option.number === number);
}

export function withoutOptions(options: CoapOptions, ...numbers: number[]): CoapOptions {
  return options.filter((option) => !numbers.includes(option.number));
}

/** The options with every one of this option's number replaced by it, in ascending order. */
export function withOption(options: CoapOptions, option: CoapOption): CoapOptions {
  return [...withoutOptions(options, option.number), option].toSorted((a, b) => a.number - b.number);
}

/** The first value as an unsigned integer; undefined when the option is absent. Throws `coap/bad-option`. */
export function uintValue(options: CoapOptions, number: number): number | undefined {
  const option = findOption(options, number);
  return option === undefined ? undefined : decodeUint(option);
}

/** The first value as UTF-8; undefined when the option is absent. Throws `coap/bad-option`. */
export function stringValue(options: CoapOptions, number: number): string | undefined {
  const option = findOption(options, number);
  return option === undefined ? undefined : decodeString(option);
}

export function stringValues(options: CoapOptions, number: number): string[] {
  return options.filter((option) => option.number === number).map(decodeString);
}

/** The segments of Uri-Path: `/` and no path are `[]`. Throws `coap/bad-option`. */
export function uriPath(options: CoapOptions): string[] {
  return stringValues(options, OptionNumber.URI_PATH);
}

export function locationPath(options: CoapOptions): string[] {
  return stringValues(options, OptionNumber.LOCATION_PATH);
}

export function uriQuery(options: CoapOptions): string[] {
  return stringValues(options, OptionNumber.URI_QUERY);
}

export function contentFormat(options: CoapOptions): number | undefined {
  return uintValue(options, OptionNumber.CONTENT_FORMAT);
}

export function accept(options: CoapOptions): number | undefined {
  return uintValue(options, OptionNumber.ACCEPT);
}

/** Seconds; 60 when absent (RFC 7252 §5.10.5). */
export function maxAge(options: CoapOptions): number {
  return uintValue(options, OptionNumber.MAX_AGE) ?? 60;
}

export function etag(options: CoapOptions): Uint8Array | undefined {
  return findOption(options, OptionNumber.ETAG)?.value;
}

export function encodeUint(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new CoapError('coap/bad-argument', `${value} is no unsigned integer of 32 bits`);
  }
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Uint8Array.from(bytes);
}

function decodeUint({ number, value }: CoapOption): number {
  if (value.length > 4) {
    throw new CoapError('coap/bad-option', `${optionName(number)} has ${value.length} bytes, more than 4`);
  }
  // Leading zeros are legal on receipt (RFC 7252 §3.2).
  return value.reduce((sum, byte) => sum * 256 + byte, 0);
}

function decodeString({ number, value }: CoapOption): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
  } catch (cause) {
    throw new CoapError('coap/bad-option', `${optionName(number)} is not valid UTF-8`, { cause });
  }
}

function segments(path: string | readonly string[]): readonly string[] {
  if (typeof path !== 'string') return path;
  const trimmed = path.startsWith('/') ? path.slice(1) : path;
  return trimmed === '' ? [] : trimmed.split('/');
}
