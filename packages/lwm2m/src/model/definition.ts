// SPDX-License-Identifier: Apache-2.0
import type { ResourceType } from '../values.ts';

/** R, W, E as the registry writes them; '' is a resource that only the bootstrap interface reaches. */
export type Operations = '' | 'R' | 'W' | 'RW' | 'E';

export interface ResourceDefinition {
  id: number;
  name: string;
  operations: Operations;
  type: ResourceType;
  multiple: boolean;
  mandatory: boolean;
  units?: string;
  /** The values that the registry allows, in its own words: `0..255`, `0,1`, `1..64 bytes`. */
  range?: string;
}

/** An object as the OMA registry defines it. */
export interface ObjectDefinition {
  id: number;
  name: string;
  /** Told to the server when it is not 1.0 (LwM2M Core 1.1 §7.2.2). */
  version: string;
  multiple: boolean;
  mandatory: boolean;
  resources: readonly ResourceDefinition[];
}

type Cardinality = 'single' | 'multiple';
type Presence = 'mandatory' | 'optional';

/** A row of a definition's table, in the registry's order of columns. */
export type ResourceRow = readonly [
  id: number,
  name: string,
  operations: Operations,
  cardinality: Cardinality,
  presence: Presence,
  type: ResourceType,
  units?: string,
  range?: string,
];

export function resourceTable(rows: readonly ResourceRow[]): readonly ResourceDefinition[] {
  return rows.map(([id, name, operations, cardinality, presence, type, units, range]) => ({
    id,
    name,
    operations,
    type,
    multiple: cardinality === 'multiple',
    mandatory: presence === 'mandatory',
    ...(units !== undefined && units !== '' && { units }),
    ...(range !== undefined && { range }),
  }));
}

/** Rows by the names that programs use: OMA's words, run together. */
export type ResourceRows = Readonly<Record<string, ResourceRow>>;

/** A definition whose resources have names and types that the compiler knows. */
export interface NamedObject<Rows extends ResourceRows> extends ObjectDefinition {
  readonly rows: Rows;
}

/** `defineObject({ id: 3, name: 'Device', …, resources: { manufacturer: [0, 'Manufacturer', 'R', …], … } })` */
export function defineObject<const Rows extends ResourceRows>({
  resources,
  ...object
}: Omit<ObjectDefinition, 'resources'> & { readonly resources: Rows }): NamedObject<Rows> {
  return { ...object, resources: resourceTable(Object.values(resources)), rows: resources };
}
