// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from './errors.ts';

/** LwM2M Core 1.1 Appendix C. `none` is the type of an executable resource. */
export type ResourceType =
  | 'string'
  | 'integer'
  | 'unsigned'
  | 'float'
  | 'boolean'
  | 'opaque'
  | 'time'
  | 'objlnk'
  | 'corelnk'
  | 'none';

/** A reference to an object instance; 65535:65535 is the null link (LwM2M Core 1.1 Appendix C). */
export interface ObjectLink {
  objectId: number;
  instanceId: number;
}

/**
 * One value. Integers are `number` where that is exact and `bigint` beyond 2^53; time is whole seconds since 1970 as an
 * integer; corelnk is a string.
 */
export type Lwm2mValue = string | number | bigint | boolean | Uint8Array | ObjectLink;

/** A resource's value: one, or one for each resource instance. */
export type ResourceValue = Lwm2mValue | ReadonlyMap<number, Lwm2mValue>;

export function isSingle(value: ResourceValue): value is Lwm2mValue {
  return !(value instanceof Map);
}

export function isObjectLink(value: unknown): value is ObjectLink {
  return typeof value === 'object' && value !== null && 'objectId' in value && 'instanceId' in value;
}

/** An integer as `number` where that is exact, as `bigint` beyond. */
export function compactInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The type that a value without a definition has. */
export function inferType(value: Lwm2mValue): ResourceType {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'boolean';
    case 'bigint':
      return value > maxSigned ? 'unsigned' : 'integer';
    case 'number':
      return Number.isInteger(value) ? 'integer' : 'float';
    default:
      return value instanceof Uint8Array ? 'opaque' : 'objlnk';
  }
}

const maxSigned = 2n ** 63n - 1n;

function fitInteger(value: Lwm2mValue, lowest: bigint, highest: bigint): Lwm2mValue | undefined {
  if (typeof value === 'number' && !Number.isInteger(value)) return undefined;
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined;
  const integer = BigInt(value);
  return integer < lowest || integer > highest ? undefined : compactInteger(integer);
}

function fit(value: Lwm2mValue, type: ResourceType): Lwm2mValue | undefined {
  switch (type) {
    case 'string':
    case 'corelnk':
      return typeof value === 'string' && value.isWellFormed() ? value : undefined;
    case 'integer':
    case 'time':
      return fitInteger(value, -(2n ** 63n), maxSigned);
    case 'unsigned':
      return fitInteger(value, 0n, 2n ** 64n - 1n);
    case 'float':
      return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : undefined;
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined;
    case 'opaque':
      return value instanceof Uint8Array ? value : undefined;
    case 'objlnk':
      return isObjectLink(value) && isLinkId(value.objectId) && isLinkId(value.instanceId)
        ? value
        : undefined;
    case 'none':
      return undefined;
  }
}

function isLinkId(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id <= 0xffff;
}

/** The value in the form of its type. Throws `lwm2m/value-invalid` (4.00) when it is of another. */
export function fitValue(value: Lwm2mValue, type: ResourceType): Lwm2mValue {
  const fitted = fit(value, type);
  if (fitted === undefined) throw invalidValue(type, show(value));
  return fitted;
}

/** A value in a message: `"soon"`, `1e+300`, `3 bytes`. */
function show(value: Lwm2mValue): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return isObjectLink(value) ? `the link ${value.objectId}:${value.instanceId}` : String(value);
}

export function invalidValue(type: ResourceType, found: string): Lwm2mError {
  return new Lwm2mError('lwm2m/value-invalid', `expected a value of type ${type}, found ${found}`, {
    status: Code.BAD_REQUEST,
  });
}
