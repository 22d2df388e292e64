// SPDX-License-Identifier: Apache-2.0
import { Code, ContentFormat } from '@mbl/coap';
import { decodeNodes } from '../codecs/codecs.ts';
import { startsWithInstance } from '../codecs/tlv.ts';
import { Lwm2mError } from '../errors.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import type { ResourceValue } from '../values.ts';
import type { ObjectTree } from './object-tree.ts';
import { notAllowed, notFound } from './object-tree.ts';
import type { InstanceFactory } from './options.ts';
import { valueOfNodes } from './write.ts';

/** Create (LwM2M Core 1.1 §6.3.6). Answers the identifier of the new instance. Throws 4.00, 4.04, 4.05. */
export async function createInstance(
  tree: ObjectTree,
  objectId: number,
  contentFormat: number,
  payload: Uint8Array,
  factory: InstanceFactory | undefined,
): Promise<number> {
  if (tree.model.object(objectId) === undefined) throw notFound([objectId]);
  if (factory === undefined) throw notAllowed([objectId], 'Create');
  const nodes = decodeCreate(tree, objectId, contentFormat, payload);
  const ids = new Set(nodes.map(({ path }) => path[1] ?? 0));
  const [instanceId = freeId(tree, objectId)] = ids;
  if (ids.size > 1) throw invalidCreate('it describes more than one instance');
  if (tree.instances([objectId, instanceId]).length > 0)
    throw invalidCreate(`instance ${instanceId} is there already`);
  tree.add(await factory(instanceId, valuesOf(tree, nodes)));
  return instanceId;
}

/** A TLV may leave out the instance: the client chooses its identifier (LwM2M Core 1.1 §6.3.6). */
function decodeCreate(
  tree: ObjectTree,
  objectId: number,
  contentFormat: number,
  payload: Uint8Array,
): Node[] {
  const anonymous = contentFormat === ContentFormat.LWM2M_TLV && !startsWithInstance(payload);
  const base = anonymous ? [objectId, freeId(tree, objectId)] : [objectId];
  return decodeNodes(contentFormat, payload, base, tree.model);
}

function freeId(tree: ObjectTree, objectId: number): number {
  const taken = new Set(tree.instances([objectId]).map(({ instanceId }) => instanceId));
  let id = 0;
  while (taken.has(id)) id += 1;
  return id;
}

/** A Create may set what a Write may, and what only the bootstrap interface may otherwise: read-only resources too. */
function valuesOf(tree: ObjectTree, nodes: readonly Node[]): Map<number, ResourceValue> {
  const values = new Map<number, ResourceValue>();
  for (const [resourceId, group] of Map.groupBy(nodes, ({ path }) => path[2] ?? 0)) {
    const definition = tree.model.resource(group[0]?.path ?? []);
    if (definition === undefined) throw invalidCreate(`resource ${resourceId} is not known`);
    values.set(resourceId, valueOfNodes(definition, group));
  }
  return values;
}

function invalidCreate(detail: string): Lwm2mError {
  return new Lwm2mError('lwm2m/create-invalid', `the instance cannot be created: ${detail}`, {
    status: Code.BAD_REQUEST,
  });
}

/** Delete (LwM2M Core 1.1 §6.3.7). Throws 4.04, 4.05. */
export async function deleteInstance(tree: ObjectTree, path: Path): Promise<void> {
  if (path.length !== 2) throw notAllowed(path, 'Delete');
  const instance = tree.instance(path);
  if (instance.delete === undefined) throw notAllowed(path, 'Delete');
  tree.remove(instance.objectId, instance.instanceId);
  await instance.delete();
}
