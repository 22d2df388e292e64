// SPDX-License-Identifier: Apache-2.0
import type { AppResource } from '@mbl/formats';
import type { Lwm2mValue, ObjectLink, ResourceType } from '@mbl/lwm2m';
import { BusError } from './bus-error.ts';
import type { Variant } from './wire.ts';

/** Bytes of one value, as an app may set it. */
export const longestValue = 8192;

/** The type of LwM2M for a type of `app.json`. */
export function lwm2mType(type: AppResource['type']): ResourceType {
  if (type === 'unsigned-integer') return 'unsigned';
  if (type === 'object-link') return 'objlnk';
  return type;
}

/** The type of D-Bus in which a value of a type is told. */
const signatures = {
  string: 's',
  corelnk: 's',
  integer: 'x',
  time: 'x',
  unsigned: 't',
  float: 'd',
  boolean: 'b',
  opaque: 'ay',
  objlnk: '(qq)',
  none: '',
} as const satisfies Record<ResourceType, string>;

export function toVariant(value: Lwm2mValue, type: ResourceType): Variant {
  const signature = signatures[type];
  if (signature !== '(qq)') return { signature, value };
  const { objectId, instanceId } = value as ObjectLink;
  return { signature, value: [objectId, instanceId] };
}

const integers = 'ynqiuxt';

/** The value of LwM2M; any integer of D-Bus is taken for a number. Throws `com.mbl.Error.BadValue`. */
export function fromVariant({ signature, value }: Variant, type: ResourceType): Lwm2mValue {
  const integer = integers.includes(signature) ? BigInt(value as number | bigint) : undefined;
  const range = integerRanges[type];
  if (range !== undefined && integer !== undefined) {
    if (integer >= range[0] && integer <= range[1]) return compact(integer);
  } else if (type === 'float' && (signature === 'd' || integer !== undefined)) return Number(value);
  else if (type === 'objlnk' && signature === '(qq)') {
    const [objectId = 0, instanceId = 0] = value as number[];
    return { objectId, instanceId };
  } else if (
    signature === signatures[type] &&
    signature !== '' &&
    sizeOf(value as Lwm2mValue) <= longestValue
  )
    return value as Lwm2mValue;
  throw new BusError('BadValue', `the value is not of the type ${type}, or too large`);
}

const integerRanges: Partial<Record<ResourceType, readonly [bigint, bigint]>> = {
  integer: [-(2n ** 63n), 2n ** 63n - 1n],
  time: [-(2n ** 63n), 2n ** 63n - 1n],
  unsigned: [0n, 2n ** 64n - 1n],
};

function compact(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Bytes that a value takes, roughly. */
export function sizeOf(value: Lwm2mValue): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  return value instanceof Uint8Array ? value.length : 8;
}

/**
 * A value as it stands in a definition: bytes in base64, a link as `"3:0"`, an integer beyond 2^53 as a string. Throws
 * `com.mbl.Error.BadDefinition`.
 */
export function fromJson(value: unknown, type: ResourceType): Lwm2mValue {
  const variant = jsonVariant(value, type);
  if (variant !== undefined) return fromVariant(variant, type);
  throw new BusError('BadDefinition', `an initial value is not of the type ${type}`);
}

function jsonVariant(value: unknown, type: ResourceType): Variant | undefined {
  if (typeof value === 'boolean') return { signature: 'b', value };
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? { signature: 'x', value } : { signature: 'd', value };
  if (typeof value !== 'string') return undefined;
  if (type === 'opaque')
    return /^[A-Za-z0-9+/]*={0,2}$/.test(value)
      ? { signature: 'ay', value: Uint8Array.from(Buffer.from(value, 'base64')) }
      : undefined;
  if (type === 'objlnk') {
    const [, object, instance] = /^(\d{1,5}):(\d{1,5})$/.exec(value) ?? [];
    const link = [Number(object), Number(instance)];
    return link.every((id) => id <= 0xffff) ? { signature: '(qq)', value: link } : undefined;
  }
  if (integerRanges[type] === undefined) return { signature: 's', value };
  return /^-?\d{1,20}$/.test(value) ? { signature: 'x', value: BigInt(value) } : undefined;
}
