// SPDX-License-Identifier: Apache-2.0

/**
 * What a value looks like on the bus and in a program, said once: its D-Bus signature (D-Bus specification, "Type System"), and
 * the way there and back. `fromBus` trusts nobody: throws `Misshapen`.
 */
export interface Shape<T> {
  readonly signature: string;
  toBus(value: T): unknown;
  fromBus(value: unknown): T;
}

export type ShapeOf<S> = S extends Shape<infer T> ? T : never;

/** A value from the bus that is not of its shape. */
export class Misshapen extends Error {}

/** Most characters of a text, and most entries of a list. */
const longestText = 4096;
const longestDocument = 1024 * 1024;
const longestList = 256;

function check(holds: boolean): asserts holds {
  if (!holds) throw new Misshapen();
}

export const text: Shape<string> = {
  signature: 's',
  toBus: (value) => value,
  fromBus(value) {
    check(typeof value === 'string' && value.length <= longestText);
    return value;
  },
};

/** A file as a text: metadata of releases. */
export const document: Shape<string> = {
  signature: 's',
  toBus: (value) => value,
  fromBus(value) {
    check(typeof value === 'string' && value.length <= longestDocument);
    return value;
  },
};

/** One of a few words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Shape<Word> {
  return {
    signature: 's',
    toBus: (value) => value,
    fromBus(value) {
      const word = words.find((one) => one === value);
      check(word !== undefined);
      return word;
    },
  };
}

export const uint32: Shape<number> = {
  signature: 'u',
  toBus: (value) => value,
  fromBus(value) {
    check(typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32);
    return value;
  },
};

/** Up to 2^53, which a program counts exactly. */
export const uint64: Shape<number> = {
  signature: 't',
  toBus: (value) => BigInt(value),
  fromBus(value) {
    check(typeof value === 'bigint' && value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER));
    return Number(value);
  },
};

export function list<T>(of: Shape<T>): Shape<readonly T[]> {
  return {
    signature: `a${of.signature}`,
    toBus: (values) => values.map((value) => of.toBus(value)),
    fromBus(value) {
      check(Array.isArray(value) && value.length <= longestList);
      return value.map((one: unknown) => of.fromBus(one));
    },
  };
}

/** A D-Bus structure has no names: the order of the members is that on the bus. */
export function struct<T extends object>(
  members: {
    readonly [Name in keyof T]: Shape<T[Name]>;
  },
): Shape<Readonly<T>> {
  const entries = Object.entries(members) as [keyof T, Shape<T[keyof T]>][];
  return {
    signature: `(${entries.map(([, { signature }]) => signature).join('')})`,
    toBus: (value) => entries.map(([name, shape]) => shape.toBus(value[name])),
    fromBus(value) {
      check(Array.isArray(value) && value.length === entries.length);
      return Object.fromEntries(entries.map(([name, shape], at) => [name, shape.fromBus(value[at])])) as T;
    },
  };
}
