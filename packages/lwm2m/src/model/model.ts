// SPDX-License-Identifier: Apache-2.0
import type { Path } from '../path.ts';
import type { ObjectDefinition, ResourceDefinition } from './definition.ts';
import { connectivityMonitoringModel } from './object-4-connectivity-monitoring.ts';
import { deviceModel } from './object-3-device.ts';
import { firmwareUpdateModel } from './object-5-firmware-update.ts';
import { mblBoardModel } from './object-33400-mbl-board.ts';
import { mblAppsModel } from './object-33402-mbl-apps.ts';
import { mblUpdateModel } from './object-33401-mbl-update.ts';
import { securityModel } from './object-0-security.ts';
import { serverModel } from './object-1-server.ts';
import { softwareComponentModel } from './object-14-software-component.ts';

/** The definitions that codecs, client and server know objects by. */
export class ObjectModel {
  readonly #objects = new Map<number, ObjectDefinition>();
  readonly #resources = new Map<number, ReadonlyMap<number, ResourceDefinition>>();

  constructor(definitions: Iterable<ObjectDefinition>) {
    for (const definition of definitions) {
      this.#objects.set(definition.id, definition);
      this.#resources.set(
        definition.id,
        new Map(definition.resources.map((resource) => [resource.id, resource])),
      );
    }
  }

  get objects(): Iterable<ObjectDefinition> {
    return this.#objects.values();
  }

  /** These definitions, except that some objects have another, or none (`undefined`). */
  with(others: ReadonlyMap<number, ObjectDefinition | undefined>): ObjectModel {
    const changed = new ObjectModel([...others.values()].filter((one) => one !== undefined));
    // What stays the same is shared: a model may belong to one client of many.
    for (const [id, definition] of this.#objects) if (!others.has(id)) changed.#objects.set(id, definition);
    for (const [id, resources] of this.#resources) if (!others.has(id)) changed.#resources.set(id, resources);
    return changed;
  }

  object(objectId: number): ObjectDefinition | undefined {
    return this.#objects.get(objectId);
  }

  /** The definition of the resource that a path names or lies below. */
  resource(path: Path): ResourceDefinition | undefined {
    const [objectId, , resourceId] = path;
    if (objectId === undefined || resourceId === undefined) return undefined;
    return this.#resources.get(objectId)?.get(resourceId);
  }
}

/** The objects that have a table here, with names for programs: what our device has. */
export const standardModel = new ObjectModel([
  securityModel,
  serverModel,
  deviceModel,
  connectivityMonitoringModel,
  firmwareUpdateModel,
  softwareComponentModel,
  mblBoardModel,
  mblUpdateModel,
  mblAppsModel,
]);
