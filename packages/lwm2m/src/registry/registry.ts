// SPDX-License-Identifier: Apache-2.0
import type { ObjectDefinition, ResourceRow } from '../model/definition.ts';
import { resourceTable } from '../model/definition.ts';
import { ObjectModel } from '../model/model.ts';
import { mblBoardModel } from '../model/object-33400-mbl-board.ts';
import { mblUpdateModel } from '../model/object-33401-mbl-update.ts';
import { mblAppsModel } from '../model/object-33402-mbl-apps.ts';
import data from './oma-objects.json' with { type: 'json' };

/** What a link without `ver` means (LwM2M Core 1.1 §7.2.2). */
const defaultMajor = 1;

/** Definitions of objects, of one object in several versions. */
export class ObjectRegistry {
  readonly #versions: ReadonlyMap<number, ReadonlyMap<number, ObjectDefinition>>;
  readonly #usual: ObjectModel;

  /** Of two definitions with one major version the newer counts: it knows what the older one does (LwM2M Core 1.1 §7.2.1). */
  constructor(definitions: Iterable<ObjectDefinition>) {
    const versions = new Map<number, Map<number, ObjectDefinition>>();
    for (const definition of definitions) {
      const [major, minor] = parseVersion(definition.version) ?? [];
      if (major === undefined || minor === undefined) continue;
      const ofObject = versions.get(definition.id) ?? new Map<number, ObjectDefinition>();
      versions.set(definition.id, ofObject);
      const [, known = -1] = parseVersion(ofObject.get(major)?.version ?? '') ?? [];
      if (known < minor) ofObject.set(major, definition);
    }
    this.#versions = versions;
    this.#usual = new ObjectModel(
      [...versions.values()].map((ofObject) => ofObject.get(defaultMajor)).filter((one) => one !== undefined),
    );
  }

  /**
   * The definitions for a client that registered these versions of its objects. Another major version may mean other types: an object whose
   * major version is not here is not known.
   */
  model(versions: ReadonlyMap<number, string>): ObjectModel {
    const others = new Map<number, ObjectDefinition | undefined>();
    for (const [objectId, version] of versions) {
      const [major] = parseVersion(version) ?? [];
      if (major === defaultMajor || !this.#versions.has(objectId)) continue;
      others.set(objectId, major === undefined ? undefined : this.#versions.get(objectId)?.get(major));
    }
    return others.size === 0 ? this.#usual : this.#usual.with(others);
  }
}

function parseVersion(version: string): [major: number, minor: number] | undefined {
  const [, major, minor] = /^(\d{1,5})\.(\d{1,5})$/.exec(version) ?? [];
  return major === undefined ? undefined : [Number(major), Number(minor)];
}

/** The objects of OMA and of standards bodies by OMA's registry, and our own. `tools/write-registry.ts` makes the data. */
export const omaRegistry = new ObjectRegistry([
  ...data.objects.map(({ resources, ...object }) => ({
    ...object,
    resources: resourceTable(resources as unknown as readonly ResourceRow[]),
  })),
  mblBoardModel,
  mblUpdateModel,
  mblAppsModel,
]);
