// SPDX-License-Identifier: Apache-2.0
import { Lwm2mError } from '../errors.ts';
import type { ExecuteArguments } from '../execute-arguments.ts';
import type { ValueSink } from './instance.ts';
import type { NamedObject, ResourceDefinition, ResourceRow, ResourceRows } from '../model/definition.ts';
import type { Lwm2mValue, ObjectLink } from '../values.ts';
import { fitValue, isSingle } from '../values.ts';
import { isHandlers, numberedInstance, type ReportingInstance, type Resource } from './numbered-instance.ts';

/** What a program gives for each type (LwM2M Core 1.1 Appendix C): time is whole seconds since 1970. */
interface ValueOfType {
  string: string;
  integer: number | bigint;
  unsigned: number | bigint;
  float: number;
  boolean: boolean;
  opaque: Uint8Array;
  time: number | bigint;
  objlnk: ObjectLink;
  corelnk: string;
  none: never;
}

type Awaitable<T> = T | Promise<T>;

type ValueOf<Row extends ResourceRow> = Row[3] extends 'multiple'
  ? ReadonlyMap<number, ValueOfType[Row[5]]>
  : ValueOfType[Row[5]];

interface Readable<Value> {
  /** `undefined`: the resource has no value now. */
  read(): Awaitable<Value | undefined>;
}

interface Writable<Value> {
  write(value: Value): Awaitable<void>;
  /** An opaque value in blocks, as they come; `size` in bytes where the server tells it. */
  stream?: Value extends Uint8Array ? (size: number | undefined) => ValueSink : never;
  /** A Replace that leaves it out: back to its initial value. */
  reset?(): Awaitable<void>;
}

interface Executable {
  execute(args: ExecuteArguments): Awaitable<void>;
}

/** A value that never changes, or what to do; no more than the object lets a server do. */
type ResourceOf<Row extends ResourceRow> = Row[2] extends 'E'
  ? Executable
  : Row[2] extends 'W'
    ? Writable<ValueOf<Row>>
    :
        | ValueOf<Row>
        | Readable<ValueOf<Row>>
        | (Row[2] extends 'RW' ? Readable<ValueOf<Row>> & Writable<ValueOf<Row>> : never);

type NamesOf<Rows extends ResourceRows, Presence> = {
  [Name in keyof Rows]: Rows[Name][4] extends Presence ? Name : never;
}[keyof Rows];

/** The resources of an instance by their names; the mandatory ones must be there. */
export type ResourcesOf<Rows extends ResourceRows> = {
  readonly [Name in NamesOf<Rows, 'mandatory'>]: ResourceOf<Rows[Name]>;
} & {
  readonly [Name in NamesOf<Rows, 'optional'>]?: ResourceOf<Rows[Name]>;
};

/**
 * Makes an object instance from its resources, by OMA's names:
 * `objectInstance(deviceModel, 0, { reboot: { execute: reboot }, currentTime: { read: now, write: setTime }, … })`.
 *
 * What the compiler refuses is refused at run time, too: throws `lwm2m/instance-invalid` for a resource that the object does not
 * have, or that may not be used so, for a constant of another type, and for a mandatory resource that is missing.
 */
export function objectInstance<Rows extends ResourceRows>(
  definition: NamedObject<Rows>,
  instanceId: number,
  resources: ResourcesOf<Rows>,
): ReportingInstance<keyof Rows> {
  const given = new Map<number, Resource>();
  for (const [name, resource] of Object.entries<Resource>(resources)) {
    const id = Object.hasOwn(definition.rows, name) ? definition.rows[name]?.[0] : undefined;
    const row = definition.resources.find((one) => one.id === id);
    if (row === undefined) throw invalid(definition.name, `there is no resource ${name}`);
    const fault = faultOf(row, resource);
    if (fault !== undefined) throw invalid(definition.name, `${name} ${fault}`);
    given.set(row.id, resource);
  }
  for (const { id, name, mandatory } of definition.resources) {
    if (mandatory && !given.has(id)) throw invalid(definition.name, `${name} is mandatory`);
  }
  const instance = numberedInstance(definition.id, instanceId, Object.fromEntries(given));
  return {
    ...instance,
    changed(name) {
      const row = definition.rows[name];
      if (row !== undefined) instance.changed(row[0]);
    },
  };
}

/** Why a resource cannot be of that definition; undefined when it can. */
function faultOf({ operations, multiple, type }: ResourceDefinition, resource: Resource): string | undefined {
  if (operations === 'E') {
    return isHandlers(resource) && resource.execute !== undefined ? undefined : 'can only be executed';
  }
  if (isHandlers(resource)) {
    if (resource.execute !== undefined) return 'cannot be executed';
    if (resource.write !== undefined && !operations.includes('W')) return 'cannot be written';
    return undefined;
  }
  if (isSingle(resource) === multiple) return multiple ? 'has instances' : 'has one value';
  const values: readonly Lwm2mValue[] = isSingle(resource) ? [resource] : [...resource.values()];
  return values.every((value) => fits(value, type)) ? undefined : `is of type ${type}`;
}

function fits(value: Lwm2mValue, type: ResourceDefinition['type']): boolean {
  try {
    fitValue(value, type);
    return true;
  } catch {
    return false;
  }
}

function invalid(object: string, fault: string): Lwm2mError {
  return new Lwm2mError('lwm2m/instance-invalid', `an instance of ${object}: ${fault}`);
}
