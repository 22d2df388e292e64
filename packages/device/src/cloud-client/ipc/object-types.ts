// SPDX-License-Identifier: Apache-2.0
import {
  type ObjectDefinition,
  type ObjectModel,
  omaRegistry,
  type Operations,
  type ResourceDefinition,
  standardModel,
} from '@mbl/lwm2m';
import type { HeldResource } from './app-instance.ts';
import { BusError } from './bus-error.ts';

/** LwM2M Core 1.1 Appendix E, LwM2M 1.2 Appendix E: what manages the device itself is of no app. */
const mostManaging = 5;
const managing = new Set([21, 22, 23, 24, 25]);

const registry: ObjectModel = omaRegistry.model(new Map());

/** Whether an app may have instances of an object. */
export function isForApps(objectId: number): boolean {
  return objectId > mostManaging && !managing.has(objectId) && standardModel.object(objectId) === undefined;
}

/** An object as the client is to know it for what apps have of it; `isPrivate`: the registry does not have it. */
export interface KnownObject {
  readonly definition: ObjectDefinition;
  readonly isPrivate: boolean;
}

/**
 * The definition of an object: the registry's, or what the apps say of one that it does not have. Throws `com.mbl.Error.Taken` where two say different
 * things, `BadDefinition` where an app says something else than the registry.
 */
export function objectType(objectId: number, resources: readonly HeldResource[]): KnownObject {
  const known = registry.object(objectId);
  if (known === undefined) return { definition: privateObject(objectId, resources), isPrivate: true };
  for (const resource of resources) checkAgainst(registry.resource(resource.ids), resource);
  return { definition: known, isPrivate: false };
}

function checkAgainst(known: ResourceDefinition | undefined, { path, type, operations }: HeldResource): void {
  if (known === undefined) throw new BusError('BadDefinition', `the registry of objects has no ${path}`);
  if (known.multiple) throw new BusError('BadDefinition', `${path} has instances: no app can have it`);
  if (known.type !== type && !(known.type === 'corelnk' && type === 'string'))
    throw new BusError('BadDefinition', `${path} is of the type ${known.type}`);
  const extra = operations.find((one) => !known.operations.includes(letters[one]));
  if (extra !== undefined) throw new BusError('BadDefinition', `${path} does not allow ${extra}`);
}

const letters = { read: 'R', write: 'W', execute: 'E' } as const;

function privateObject(objectId: number, resources: readonly HeldResource[]): ObjectDefinition {
  const rows = new Map<number, ResourceDefinition>();
  for (const resource of resources) {
    const id = resource.ids[2];
    const row = { ...rowOf(id, resource), mandatory: false, multiple: false };
    const before = rows.get(id);
    if (before !== undefined && (before.type !== row.type || before.operations !== row.operations))
      throw new BusError(
        'Taken',
        `another instance has ${resource.path} with another type or other operations`,
      );
    rows.set(id, before ?? row);
  }
  return {
    id: objectId,
    name: `Object ${objectId}`,
    version: '1.0',
    multiple: true,
    mandatory: false,
    resources: [...rows.values()],
  };
}

function rowOf(
  id: number,
  { name, units, type, operations }: HeldResource,
): Pick<ResourceDefinition, 'id' | 'name' | 'type' | 'operations' | 'units'> {
  const said = (['read', 'write', 'execute'] as const).filter((one) => operations.includes(one));
  return {
    id,
    name: name === '' ? `Resource ${id}` : name,
    type,
    operations: said.map((one) => letters[one]).join('') as Operations,
    ...(units === '' ? {} : { units }),
  };
}
