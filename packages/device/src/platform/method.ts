// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { Misshapen, type Shape, type ShapeOf } from './shapes.ts';

/** The arguments of a method, by their names, in their order on the bus. */
export type Arguments = Readonly<Record<string, Shape<unknown>>>;

/** A method of the platform: what goes in, and what comes out. */
export interface Method<Args extends Arguments = Arguments, Result = unknown> {
  readonly args: Args;
  /** Undefined where nothing comes back. */
  readonly result: Shape<Result> | undefined;
  /** How long a call may take. */
  readonly deadlineMs: number;
}

/** `method({ ids: list(text) })`, `method({}, struct({ total: uint64 }))` */
export function method<Args extends Arguments, Result = void>(
  args: Args,
  result?: Shape<Result>,
  { deadlineMs = usualMs }: { readonly deadlineMs?: number } = {},
): Method<Args, Result> {
  return { args, result, deadlineMs };
}

/** The first call starts the service, which takes a slow board its time. */
const usualMs = 30_000;

export type Methods = Readonly<Record<string, Method>>;

type Values<Args extends Arguments> = { readonly [Name in keyof Args]: ShapeOf<Args[Name]> };

/** The methods as a program has them: `GetMemory` is `getMemory()`. All arguments are one object, by their names. */
export type Implementation<M extends Methods> = {
  readonly [Name in keyof M & string as Uncapitalize<Name>]: M[Name] extends Method<infer Args, infer Result>
    ? keyof Args extends never
      ? () => Promise<Result>
      : (args: Values<Args>) => Promise<Result>
    : never;
};

/** The name in a program of a method on the bus. */
export function memberName(method: string): string {
  return method.charAt(0).toLowerCase() + method.slice(1);
}

/** Reads what came over the bus. Throws `device/platform-malformed`. */
export function readFromBus<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof Misshapen)) throw cause;
    throw new MblError('device/platform-malformed', `${what} is not of its type`, { cause });
  }
}
