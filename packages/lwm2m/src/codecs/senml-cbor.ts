// SPDX-License-Identifier: Apache-2.0
import { decode, encode } from 'cborg';
import { compactInteger } from '../values.ts';
import type { Codec } from './codec.ts';
import { checkSize, malformed } from './limits.ts';
import type { SenmlRecord } from './senml.ts';
import { fromRecords, senmlVersion, toRecords } from './senml.ts';

const format = 'SenML CBOR';

/** RFC 8428 §6 table 4; `vlo` has no number (LwM2M Core 1.1 §7.4.5). */
const labels = { bn: -2, bt: -3, n: 0, v: 2, vs: 3, vb: 4, t: 6, vd: 8, vlo: 'vlo' } as const;
const refusedLabels: readonly unknown[] = [-5, -6, 5];

/** application/senml+cbor (RFC 8428 §6, LwM2M Core 1.1 §7.4.5). */
export const senmlCborCodec: Codec = {
  encode: (nodes, base, model) => encodeRecordsAsCbor(toRecords(nodes, base, model)),
  decode: (payload, base, model) => fromRecords(decodeRecordsFromCbor(payload), base, model),
};

/** Fields keep the order of the record: base name first, as the specification's examples have it. */
export function encodeRecordsAsCbor(records: readonly SenmlRecord[]): Uint8Array {
  const maps = records.map(({ bn, bt, n, t, v, vs, vb, vd, vlo }) => {
    const fields: [number | string, unknown][] = [
      [labels.bn, bn],
      [labels.bt, bt],
      [labels.n, n],
      [labels.t, t],
      [labels.v, v],
      [labels.vs, vs],
      [labels.vb, vb],
      [labels.vd, vd],
      [labels.vlo, vlo],
    ];
    return new Map(fields.filter(([, value]) => value !== undefined));
  });
  return encode(maps, { mapSorter: () => 0 });
}

export function decodeRecordsFromCbor(payload: Uint8Array): SenmlRecord[] {
  checkSize(payload);
  let parsed: unknown;
  try {
    parsed = decode(payload, { useMaps: true, rejectDuplicateMapKeys: true, allowUndefined: false });
  } catch (cause) {
    throw malformed(format, 'the bytes are not CBOR', cause);
  }
  if (!Array.isArray(parsed)) throw malformed(format, 'the outermost item is not an array');
  return parsed.map(toRecord);
}

function toRecord(candidate: unknown): SenmlRecord {
  if (!(candidate instanceof Map)) throw malformed(format, 'a record is not a map');
  const record: SenmlRecord = {};
  for (const [label, value] of candidate) readField(record, label, value);
  return record;
}

function readField(record: SenmlRecord, label: unknown, value: unknown): void {
  switch (label) {
    case labels.bn:
      record.bn = text(value);
      return;
    case labels.n:
      record.n = text(value);
      return;
    case labels.vs:
      record.vs = text(value);
      return;
    case labels.vlo:
      record.vlo = text(value);
      return;
    case labels.bt:
      record.bt = Number(number(value));
      return;
    case labels.t:
      record.t = Number(number(value));
      return;
    case labels.v:
      record.v = number(value);
      return;
    case labels.vb:
      if (typeof value !== 'boolean') throw malformed(format, 'a boolean field holds something else');
      record.vb = value;
      return;
    case labels.vd:
      if (!(value instanceof Uint8Array)) throw malformed(format, 'a data field holds something else');
      record.vd = value;
      return;
    case -1:
      if (value !== senmlVersion) throw malformed(format, 'the version is not 10');
      return;
    default:
      if (refusedLabels.includes(label) || (typeof label === 'string' && label.endsWith('_'))) {
        throw malformed(format, `field ${String(label).slice(0, 40)}`);
      }
  }
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw malformed(format, 'a text field holds something else');
  return value;
}

function number(value: unknown): number | bigint {
  if (typeof value === 'bigint') return compactInteger(value);
  if (typeof value !== 'number') throw malformed(format, 'a number field holds something else');
  return value;
}
