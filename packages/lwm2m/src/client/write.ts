// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import type { ResourceDefinition } from '../model/definition.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import { formatPath } from '../path.ts';
import type { Lwm2mValue, ResourceValue } from '../values.ts';
import { fitValue, isSingle } from '../values.ts';
import type { ObjectInstance } from './instance.ts';
import type { ObjectTree } from './object-tree.ts';
import { checkNotSecurity, notAllowed } from './object-tree.ts';

export type WriteMode = 'replace' | 'update';

interface Change {
  instance: ObjectInstance;
  resourceId: number;
  /** `undefined` resets the resource. */
  value: ResourceValue | undefined;
}

/**
 * Write (LwM2M Core 1.1 §6.3.3). Everything is checked before anything is written. Answers the resources written.
 * Throws 4.00, 4.01, 4.04, 4.05.
 */
export async function writeNodes(
  tree: ObjectTree,
  path: Path,
  nodes: readonly Node[],
  mode: WriteMode,
): Promise<Path[]> {
  checkNotSecurity(path);
  if (path.length < 2) throw notAllowed(path, 'Write');
  const changes = await planInstance(tree, tree.instance(path), path, nodes, mode);
  return apply(changes);
}

/** Write-Composite (LwM2M Core 1.1 §6.3.9): a partial update of many resources, all or none of them checked well. */
export async function writeComposite(tree: ObjectTree, nodes: readonly Node[]): Promise<Path[]> {
  const groups = Map.groupBy(nodes, ({ path }) => formatPath(path.slice(0, 2)));
  const changes: Change[] = [];
  for (const group of groups.values()) {
    const path = group[0]?.path.slice(0, 2) ?? [];
    checkNotSecurity(path);
    changes.push(...(await planInstance(tree, tree.instance(path), path, group, 'update')));
  }
  return apply(changes);
}

async function apply(changes: readonly Change[]): Promise<Path[]> {
  const written: Path[] = [];
  for (const { instance, resourceId, value } of changes) {
    if (value === undefined) await instance.reset?.(resourceId);
    else await instance.write?.(resourceId, value);
    written.push([instance.objectId, instance.instanceId, resourceId]);
  }
  return written;
}

async function planInstance(
  tree: ObjectTree,
  instance: ObjectInstance,
  path: Path,
  nodes: readonly Node[],
  mode: WriteMode,
): Promise<Change[]> {
  const groups = Map.groupBy(nodes, (node) => node.path[2] ?? 0);
  const [, , only] = path;
  // An empty list of instances is a value too: it empties a multiple resource.
  if (only !== undefined && !groups.has(only)) groups.set(only, []);
  const changes: Change[] = [];
  for (const [resourceId, group] of groups) {
    const definition = writable(tree, instance, resourceId);
    const merge = mode === 'update' || path.length === 4;
    changes.push({ instance, resourceId, value: await combine(instance, definition, group, merge) });
  }
  if (mode === 'update' || path.length > 2) return changes;
  for (const resourceId of instance.resources) {
    if (groups.has(resourceId)) continue;
    if (tree.resource(instance, resourceId).operations.includes('W')) {
      changes.push({ instance, resourceId, value: undefined });
    }
  }
  return changes;
}

function writable(tree: ObjectTree, instance: ObjectInstance, resourceId: number): ResourceDefinition {
  const definition = tree.resource(instance, resourceId);
  if (!definition.operations.includes('W') || instance.write === undefined) {
    throw notAllowed([instance.objectId, instance.instanceId, resourceId], 'Write');
  }
  return definition;
}

/** The new value of one resource; `merge` keeps the resource instances that are not named. */
async function combine(
  instance: ObjectInstance,
  definition: ResourceDefinition,
  nodes: readonly Node[],
  merge: boolean,
): Promise<ResourceValue> {
  const value = valueOfNodes(definition, nodes);
  if (isSingle(value) || !merge) return value;
  const current = await instance.read(definition.id);
  return current === undefined || isSingle(current) ? value : new Map([...current, ...value]);
}

/** The value that nodes of one resource make. Throws `lwm2m/value-invalid` (4.00). */
export function valueOfNodes(definition: ResourceDefinition, nodes: readonly Node[]): ResourceValue {
  if (definition.multiple) {
    return new Map<number, Lwm2mValue>(
      nodes.map(({ path, value }) => [path[3] ?? 0, fitValue(value, definition.type)]),
    );
  }
  const [node] = nodes;
  if (node === undefined || nodes.length > 1 || node.path.length === 4) {
    throw new Lwm2mError('lwm2m/value-invalid', `resource ${definition.id} takes exactly one value`, {
      status: Code.BAD_REQUEST,
    });
  }
  return fitValue(node.value, definition.type);
}
