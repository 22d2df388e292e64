// SPDX-License-Identifier: Apache-2.0

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
