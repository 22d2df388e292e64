// SPDX-License-Identifier: Apache-2.0
import { compactInteger } from '../values.ts';
import type { Codec } from './codec.ts';
import { checkSize, decodeUtf8, malformed } from './limits.ts';
import type { SenmlRecord } from './senml.ts';
import { fromRecords, refusedFields, senmlVersion, toRecords } from './senml.ts';
import { decodeBase64 } from './text.ts';

const format = 'SenML JSON';

/** application/senml+json (RFC 8428 §5, LwM2M Core 1.1 §7.4.4). */
export const senmlJsonCodec: Codec = {
  encode: (nodes, base, model) => encodeRecordsAsJson(toRecords(nodes, base, model)),
  decode: (payload, base, model) => fromRecords(decodeRecordsFromJson(payload), base, model),
};

export function encodeRecordsAsJson(records: readonly SenmlRecord[]): Uint8Array {
  return new TextEncoder().encode(`[${records.map((record) => writeJson(format, record)).join(',')}]`);
}

/** An object of values as JSON: bytes as base64url, integers of any size. */
export function writeJson(name: string, record: object): string {
  const fields = Object.entries(record).map(([label, value]) => {
    if (typeof value === 'number' && !Number.isFinite(value))
      throw malformed(name, `${value} is not a JSON number`);
    // JSON's numbers have no limit, JSON.stringify knows no bigint.
    if (typeof value === 'bigint') return `"${label}":${value}`;
    const written: unknown =
      value instanceof Uint8Array ? value.toBase64({ alphabet: 'base64url', omitPadding: true }) : value;
    return `"${label}":${JSON.stringify(written)}`;
  });
  return `{${fields.join(',')}}`;
}

/** Keeps integers beyond 2^53 exact. */
function exactNumber(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? '';
  return /^-?\d{1,20}$/.test(source) ? compactInteger(BigInt(source)) : value;
}

/** Reads JSON in which integers of 64 bits stay exact. Throws `Lwm2mError` (4.00, 4.13). */
export function parseJson(name: string, payload: Uint8Array): unknown {
  checkSize(payload);
  const text = decodeUtf8(payload, name);
  try {
    return JSON.parse(text, exactNumber);
  } catch (cause) {
    throw malformed(name, 'the text is not JSON', cause);
  }
}

export function decodeRecordsFromJson(payload: Uint8Array): SenmlRecord[] {
  const parsed = parseJson(format, payload);
  if (!Array.isArray(parsed)) throw malformed(format, 'the outermost value is not an array');
  return parsed.map(toRecord);
}

function toRecord(candidate: unknown): SenmlRecord {
  if (typeof candidate !== 'object' || candidate === null || Array.isArray(candidate)) {
    throw malformed(format, 'a record is not an object');
  }
  const record: SenmlRecord = {};
  for (const [label, value] of Object.entries(candidate)) readField(record, label, value);
  return record;
}

function readField(record: SenmlRecord, label: string, value: unknown): void {
  switch (label) {
    case 'bn':
    case 'n':
    case 'vs':
    case 'vlo':
      if (typeof value !== 'string') throw malformed(format, `${label} is not a string`);
      record[label] = value;
      return;
    case 'bt':
    case 't':
      if (typeof value !== 'number') throw malformed(format, `${label} is not a number`);
      record[label] = value;
      return;
    case 'bver':
      if (value !== senmlVersion) throw malformed(format, 'the version is not 10');
      return;
    case 'v':
      if (typeof value !== 'number' && typeof value !== 'bigint')
        throw malformed(format, 'v is not a number');
      record.v = value;
      return;
    case 'vb':
      if (typeof value !== 'boolean') throw malformed(format, 'vb is not a boolean');
      record.vb = value;
      return;
    case 'vd':
      if (typeof value !== 'string') throw malformed(format, 'vd is not a string');
      record.vd = decodeBase64(value, 'base64url');
      return;
    default:
      // RFC 8428 §4.4: a label that ends in "_" must be understood; others may be passed over.
      if (label.endsWith('_') || refusedFields.includes(label))
        throw malformed(format, `field ${label.slice(0, 40)}`);
  }
}
