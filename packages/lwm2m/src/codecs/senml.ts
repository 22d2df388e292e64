// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import type { ObjectModel } from '../model/model.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import { formatPath, isWithin, parsePath } from '../path.ts';
import type { Lwm2mValue } from '../values.ts';
import { fitValue, isObjectLink } from '../values.ts';
import { checkNodeCount, malformed } from './limits.ts';
import { typeOfNode } from './single.ts';
import { formatObjectLink, parseObjectLink } from './text.ts';

/** A SenML record as LwM2M uses it (RFC 8428 §4, LwM2M Core 1.1 §7.4.4), free of JSON or CBOR. */
export interface SenmlRecord {
  bn?: string;
  bt?: number;
  n?: string;
  t?: number;
  v?: number | bigint;
  vs?: string;
  vb?: boolean;
  vd?: Uint8Array;
  vlo?: string;
}

/** Fields that change what a value means and that LwM2M leaves out: their records are refused, not misread. */
export const refusedFields: readonly string[] = ['bv', 'bs', 's'];

/** RFC 8428 §4.4. */
export const senmlVersion = 10;

function valueFields(value: Lwm2mValue): SenmlRecord {
  if (typeof value === 'string') return { vs: value };
  if (typeof value === 'boolean') return { vb: value };
  if (value instanceof Uint8Array) return { vd: value };
  if (isObjectLink(value)) return { vlo: formatObjectLink(value) };
  return { v: value };
}

/** The first record carries the base name: the operation's path. */
export function toRecords(nodes: readonly Node[], base: Path, model: ObjectModel): SenmlRecord[] {
  const [first] = nodes;
  if (first === undefined) return [];
  const single = nodes.length === 1 && first.path.length === base.length;
  const prefix = single || base.length === 0 ? formatPath(base) : `${formatPath(base)}/`;
  return nodes.map((node, index) => {
    const name = formatPath(node.path).slice(prefix.length);
    return {
      ...(index === 0 && { bn: prefix }),
      ...(name !== '' && { n: name }),
      ...(node.time !== undefined && { t: node.time }),
      ...valueFields(fitValue(node.value, typeOfNode(node, model))),
    };
  });
}

function valueOf(record: SenmlRecord): Lwm2mValue | undefined {
  const values: Lwm2mValue[] = [];
  if (record.v !== undefined) values.push(record.v);
  if (record.vs !== undefined) values.push(record.vs);
  if (record.vb !== undefined) values.push(record.vb);
  if (record.vd !== undefined) values.push(record.vd);
  if (record.vlo !== undefined) values.push(parseObjectLink(record.vlo));
  if (values.length > 1) throw malformed('SenML', 'a record has more than one value');
  return values[0];
}

interface ResolvedRecord {
  path: Path;
  time: number | undefined;
  value: Lwm2mValue | undefined;
}

/** Applies base name and base time (RFC 8428 §4.6). */
function* resolve(records: readonly SenmlRecord[]): Generator<ResolvedRecord> {
  checkNodeCount(records.length);
  let baseName = '';
  let baseTime: number | undefined;
  for (const record of records) {
    baseName = record.bn ?? baseName;
    baseTime = record.bt ?? baseTime;
    const time =
      baseTime === undefined && record.t === undefined ? undefined : (baseTime ?? 0) + (record.t ?? 0);
    const name = baseName + (record.n ?? '');
    yield { path: parsePath(name), time, value: valueOf(record) };
  }
}

function checkWithin(path: Path, base: Path): void {
  if (isWithin(path, base)) return;
  throw new Lwm2mError('lwm2m/path-outside', `${formatPath(path)} does not lie below ${formatPath(base)}`, {
    status: Code.BAD_REQUEST,
  });
}

export function fromRecords(records: readonly SenmlRecord[], base: Path, model: ObjectModel): Node[] {
  const nodes: Node[] = [];
  for (const { path, time, value } of resolve(records)) {
    checkWithin(path, base);
    if (path.length < 3 || value === undefined) {
      throw malformed('SenML', `the record for ${formatPath(path)} is not a resource with a value`);
    }
    const type = model.resource(path)?.type;
    nodes.push({
      path,
      value: type === undefined ? value : fitValue(value, type),
      ...(time !== undefined && { time }),
    });
  }
  return nodes;
}

/** The paths of a Read-Composite or Observe-Composite (LwM2M Core 1.1 §6.3.8): records without values. */
export function pathsOfRecords(records: readonly SenmlRecord[]): Path[] {
  return Array.from(resolve(records), ({ path, value }) => {
    if (value !== undefined) throw malformed('SenML', `the record for ${formatPath(path)} has a value`);
    return path;
  });
}

export function pathRecords(paths: readonly Path[]): SenmlRecord[] {
  return paths.map((path) => ({ n: formatPath(path) }));
}
