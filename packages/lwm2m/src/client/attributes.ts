// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { textToValue } from '../codecs/text.ts';
import { Lwm2mError } from '../errors.ts';
import type { ObjectModel } from '../model/model.ts';
import type { Path } from '../path.ts';
import { formatPath, isWithin, parsePath } from '../path.ts';

const attributeNames = ['pmin', 'pmax', 'gt', 'lt', 'st'] as const;
type AttributeName = (typeof attributeNames)[number];

/** Attributes of the class NOTIFICATION (LwM2M Core 1.1 §5.1.2). Periods are seconds. */
export type Attributes = Partial<Record<AttributeName, number>>;

/** What Write-Attributes set, by path (LwM2M Core 1.1 §5.1.2, §6.3.4). */
export class AttributeStore {
  readonly #byPath = new Map<string, Attributes>();

  /** The attributes set at exactly this path. */
  at(path: Path): Attributes {
    return this.#byPath.get(formatPath(path)) ?? {};
  }

  /** The attributes in force at a path: its own, else those of the closest path above. */
  effective(path: Path): Attributes {
    const attributes: Attributes = {};
    for (let length = 1; length <= path.length; length++)
      Object.assign(attributes, this.at(path.slice(0, length)));
    return attributes;
  }

  /** Applies a query like `pmin=10&pmax`: a name without a value unsets it. Throws 4.00 and changes nothing then. */
  write(path: Path, query: ReadonlyMap<string, string | undefined>, model: ObjectModel): void {
    const next = { ...this.at(path) };
    for (const [name, text] of query) {
      const known = attributeNames.find((candidate) => candidate === name);
      if (known === undefined) throw badAttribute(`attribute ${name.slice(0, 40)} is not known`);
      if (text === undefined || text === '') delete next[known];
      else next[known] = parseAttribute(known, text);
    }
    checkConsistency(path, next, model);
    if (Object.keys(next).length === 0) this.#byPath.delete(formatPath(path));
    else this.#byPath.set(formatPath(path), next);
  }

  /** Forgets what is set at a path and below. */
  forget(path: Path): void {
    for (const key of [...this.#byPath.keys()]) {
      if (isWithin(parsePath(key), path)) this.#byPath.delete(key);
    }
  }
}

function parseAttribute(name: AttributeName, text: string): number {
  const isPeriod = name === 'pmin' || name === 'pmax';
  const value = Number(textToValue(text, isPeriod ? 'unsigned' : 'float'));
  if (!Number.isFinite(value) || (name === 'st' && value <= 0))
    throw badAttribute(`${name} cannot be ${value}`);
  return value;
}

function checkConsistency(path: Path, { gt, lt, st }: Attributes, model: ObjectModel): void {
  if (gt === undefined && lt === undefined && st === undefined) return;
  const type = model.resource(path)?.type;
  if (path.length < 3 || !['integer', 'unsigned', 'float', 'time'].includes(type ?? '')) {
    throw badAttribute(`gt, lt and st belong to numeric resources, ${formatPath(path)} is none`);
  }
  if (gt !== undefined && lt !== undefined && lt + 2 * (st ?? 0) >= gt) {
    throw badAttribute('lt + 2 × st must be less than gt');
  }
}

function badAttribute(message: string): Lwm2mError {
  return new Lwm2mError('lwm2m/attribute-invalid', message, { status: Code.BAD_REQUEST });
}
