// SPDX-License-Identifier: Apache-2.0
import type { AppCaller } from '@mbl/formats';
import { type AppListener } from './app-objects.ts';
import { BusError } from './bus-error.ts';
import type { Incoming } from './connection.ts';
import { type BusInterface, introspect, signatureOf } from './interfaces.ts';
import { Malformed, type Variant } from './wire.ts';

/** Who calls: an app, by the uid that the bus vouches for. */
export interface BusCaller {
  readonly uid: number;
  readonly app: AppCaller;
  /** Where its connection hears signals. */
  readonly listener: AppListener;
}

/** What is served of an interface. */
export interface Served {
  readonly interface: BusInterface;
  /** The method's results. Throws `BusError`. */
  call(
    caller: BusCaller,
    member: string,
    args: readonly unknown[],
  ): readonly unknown[] | Promise<readonly unknown[]>;
  property(name: string): unknown;
}

export interface Answer {
  readonly signature: string;
  readonly body: readonly unknown[];
}

const nothing: Answer = { signature: '', body: [] };

/** Does what a call asks for. Throws `BusError`, at once or as a promise; in the order of calls where nothing has to be waited for. */
export function dispatch(
  message: Incoming,
  caller: BusCaller,
  all: readonly Served[],
): Answer | Promise<Answer> {
  const { header } = message;
  const read = (signature: string): unknown[] => {
    try {
      return message.body(signature);
    } catch (error) {
      if (error instanceof Malformed) throw new BusError('InvalidArgs', error.message);
      throw error;
    }
  };
  switch (header.interface) {
    case 'org.freedesktop.DBus.Peer':
      if (header.member !== 'Ping') break;
      return nothing;
    case 'org.freedesktop.DBus.Introspectable': {
      const xml = introspect(header.path);
      if (header.member !== 'Introspect') break;
      if (xml === undefined) throw noObject(header.path);
      return { signature: 's', body: [xml] };
    }
    case 'org.freedesktop.DBus.Properties':
      return property(header.member, read, caller, serverAt(header.path, all));
    default:
      return callMethod(message, read, caller, serverAt(header.path, all));
  }
  throw new BusError('UnknownMethod', `there is no ${header.interface}.${header.member}`);
}

function serverAt(path: string, all: readonly Served[]): Served {
  const served = all.find((one) => one.interface.path === path);
  if (served === undefined) throw noObject(path);
  return served;
}

function callMethod(
  { header }: Incoming,
  read: (signature: string) => unknown[],
  caller: BusCaller,
  served: Served,
): Answer | Promise<Answer> {
  const { name, methods } = served.interface;
  // A call may leave out the interface (D-Bus Specification, "Method Calls").
  if (header.interface !== '' && header.interface !== name)
    throw new BusError(
      'UnknownInterface',
      `${header.path} has no interface ${header.interface.slice(0, 64)}`,
    );
  const method = Object.hasOwn(methods, header.member) ? methods[header.member] : undefined;
  if (method === undefined)
    throw new BusError('UnknownMethod', `${name} has no method ${header.member.slice(0, 64)}`);
  mayTalk(caller, name);
  const answer = (body: readonly unknown[]): Answer => ({ signature: signatureOf(method.out), body });
  const result = served.call(caller, header.member, read(signatureOf(method.in)));
  return result instanceof Promise ? result.then(answer) : answer(result);
}

function property(
  member: string,
  read: (signature: string) => unknown[],
  caller: BusCaller,
  served: Served,
): Answer {
  const { name, properties } = served.interface;
  const signature = { Get: 'ss', GetAll: 's', Set: 'ssv' }[member];
  if (signature === undefined) throw new BusError('UnknownMethod', `there is no ${member} of properties`);
  const [of, key] = read(signature) as string[];
  if (of !== name && (of !== '' || member === 'Set'))
    throw new BusError('UnknownInterface', `there is no interface ${String(of).slice(0, 64)}`);
  mayTalk(caller, name);
  const value = (one: string): Variant => ({
    signature: properties[one]?.type ?? '',
    value: served.property(one),
  });
  if (member === 'GetAll') {
    const all = Object.keys(properties).map((one) => [one, value(one)] as const);
    return { signature: 'a{sv}', body: [new Map(all)] };
  }
  if (key === undefined || !Object.hasOwn(properties, key))
    throw new BusError('UnknownProperty', `${name} has no property ${String(key).slice(0, 64)}`);
  if (member === 'Set') throw new BusError('PropertyReadOnly', `${key} can only be read`);
  return { signature: 'v', body: [value(key)] };
}

function mayTalk({ app }: BusCaller, name: string): void {
  if (!app.talk.includes(name))
    throw new BusError('AccessDenied', `app.yaml does not have ${name} in permissions.bus.talk`);
}

function noObject(path: string): BusError {
  return new BusError('UnknownObject', `there is no object ${path.slice(0, 64)}`);
}
