// SPDX-License-Identifier: Apache-2.0
import type { ObjectModel } from '../model/model.ts';
import type { Path } from '../path.ts';
import { formatPath, parsePath } from '../path.ts';
import type { Codec } from './codec.ts';
import { malformed } from './limits.ts';
import type { SenmlRecord } from './senml.ts';
import { fromRecords, toRecords } from './senml.ts';
import { parseJson, writeJson } from './senml-json.ts';
import { decodeBase64 } from './text.ts';

const format = 'LwM2M JSON';

/**
 * application/vnd.oma.lwm2m+json (LwM2M Core 1.0 §6.4.4), which SenML replaced in 1.1: one object with a base name, a base time and the
 * values. What has a name of its own there has one here; all else is that of SenML.
 */
export const lwm2mJsonCodec: Codec = {
  encode: (nodes, base, model) => {
    const records = toRecords(nodes, base, model);
    const entries = records.map(({ n = '', t, v, vs, vb, vd, vlo }) => ({
      n,
      ...(t !== undefined && { t }),
      ...(v !== undefined && { v }),
      ...(vs !== undefined && { sv: vs }),
      ...(vb !== undefined && { bv: vb }),
      ...(vd !== undefined && { sv: vd.toBase64() }),
      ...(vlo !== undefined && { ov: vlo }),
    }));
    const bn = records[0]?.bn ?? formatPath(base);
    const written = entries.map((entry) => writeJson(format, entry)).join(',');
    return new TextEncoder().encode(`{"bn":${JSON.stringify(bn)},"e":[${written}]}`);
  },
  decode: (payload, base, model) => {
    const document = parseJson(format, payload);
    const { bn, bt, e } = isRecord(document) ? document : {};
    if (!Array.isArray(e)) throw malformed(format, 'there is no array of values');
    if (bn !== undefined && typeof bn !== 'string') throw malformed(format, 'bn is not a string');
    if (bt !== undefined && typeof bt !== 'number') throw malformed(format, 'bt is not a number');
    const records = e.map((entry) => {
      if (!isRecord(entry)) throw malformed(format, 'a value is not an object');
      return toRecord(entry, bn, base, model);
    });
    const [first] = records;
    if (first !== undefined && bt !== undefined) first.bt = bt;
    return fromRecords(records, base, model);
  },
};

type Fields = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function toRecord(
  { n = '', t, v, sv, bv, ov }: Fields,
  bn: string | undefined,
  base: Path,
  model: ObjectModel,
): SenmlRecord {
  if (typeof n !== 'string') throw malformed(format, 'n is not a string');
  const record: SenmlRecord = { n: nameOf(n, bn, base) };
  if (t !== undefined) {
    if (typeof t !== 'number') throw malformed(format, 't is not a number');
    record.t = t;
  }
  if (v !== undefined) {
    if (typeof v !== 'number' && typeof v !== 'bigint') throw malformed(format, 'v is not a number');
    record.v = v;
  }
  if (bv !== undefined) {
    if (typeof bv !== 'boolean') throw malformed(format, 'bv is not a boolean');
    record.vb = bv;
  }
  if (ov !== undefined) {
    if (typeof ov !== 'string') throw malformed(format, 'ov is not a string');
    record.vlo = ov;
  }
  if (sv !== undefined) {
    if (typeof sv !== 'string') throw malformed(format, 'sv is not a string');
    // Bytes have no field of their own.
    if (model.resource(parsePath(record.n ?? ''))?.type === 'opaque') record.vd = decodeBase64(sv, 'base64');
    else record.vs = sv;
  }
  return record;
}

/** Without a base name the names are relative to the path of the request, as earlier clients write them. */
function nameOf(name: string, bn: string | undefined, base: Path): string {
  if (bn !== undefined) return bn + name;
  if (name.startsWith('/')) return name;
  return base.length === 0 || name === '' ? `${formatPath(base)}${name}` : `${formatPath(base)}/${name}`;
}
