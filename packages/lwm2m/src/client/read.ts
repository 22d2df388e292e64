// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import type { ResourceDefinition } from '../model/definition.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import { comparePaths, formatPath } from '../path.ts';
import type { Lwm2mValue, ResourceValue } from '../values.ts';
import { fitValue, isSingle } from '../values.ts';
import type { ObjectInstance } from './instance.ts';
import type { ObjectTree } from './object-tree.ts';
import { checkNotSecurity, notAllowed, notFound } from './object-tree.ts';

/** Read (LwM2M Core 1.1 §6.3.1): everything readable at or below the path. Throws 4.01, 4.04, 4.05. */
export async function readNodes(tree: ObjectTree, path: Path): Promise<Node[]> {
  checkNotSecurity(path);
  const [objectId, , resourceId] = path;
  if (resourceId !== undefined) return readResource(tree, tree.instance(path), resourceId, path);
  if (path.length === 2) return readInstance(tree, tree.instance(path));
  if (objectId !== undefined && !tree.hasObject(objectId)) throw notFound(path);
  const nodes: Node[] = [];
  for (const instance of tree.instances(path)) {
    if (instance.objectId !== 0) nodes.push(...(await readInstance(tree, instance)));
  }
  return nodes;
}

async function readInstance(tree: ObjectTree, instance: ObjectInstance): Promise<Node[]> {
  const nodes: Node[] = [];
  for (const id of instance.resources.toSorted((a, b) => a - b)) {
    const definition = tree.resource(instance, id);
    if (!definition.operations.includes('R')) continue;
    const value = await instance.read(id);
    if (value !== undefined)
      nodes.push(...toNodes([instance.objectId, instance.instanceId, id], value, definition));
  }
  return nodes;
}

async function readResource(
  tree: ObjectTree,
  instance: ObjectInstance,
  resourceId: number,
  path: Path,
): Promise<Node[]> {
  const definition = tree.resource(instance, resourceId);
  if (!definition.operations.includes('R')) throw notAllowed(path, 'Read');
  const value = await instance.read(resourceId);
  if (value === undefined) throw notFound(path);
  const nodes = toNodes(path.slice(0, 3), value, definition);
  if (path.length === 3) return nodes;
  const wanted = nodes.filter((node) => node.path[3] === path[3]);
  if (wanted.length === 0) throw notFound(path);
  return wanted;
}

/** A resource's value as nodes: one for each instance where the definition says `multiple`. */
function toNodes(path: Path, value: ResourceValue, definition: ResourceDefinition): Node[] {
  const entries: [Path, Lwm2mValue][] = [];
  if (isSingle(value)) entries.push([definition.multiple ? [...path, 0] : path, value]);
  else for (const [id, single] of value) entries.push([[...path, id], single]);
  if (!definition.multiple && !isSingle(value)) throw unfit(path);
  return entries
    .map(([at, single]) => {
      try {
        return { path: at, value: fitValue(single, definition.type) };
      } catch (cause) {
        throw unfit(at, cause);
      }
    })
    .toSorted((a, b) => comparePaths(a.path, b.path));
}

/** The fault is the instance's, not the server's: 5.00. */
function unfit(path: Path, cause?: unknown): Lwm2mError {
  return new Lwm2mError(
    'lwm2m/value-invalid',
    `${formatPath(path)} was read as a value that does not fit its type`,
    {
      status: Code.INTERNAL_SERVER_ERROR,
      cause,
    },
  );
}
