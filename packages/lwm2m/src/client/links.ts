// SPDX-License-Identifier: Apache-2.0
import { ContentFormat } from '@mbl/coap';
import type { Link } from '../codecs/link-format.ts';
import type { Path } from '../path.ts';
import { formatPath } from '../path.ts';
import { isSingle } from '../values.ts';
import type { Attributes, AttributeStore } from './attributes.ts';
import type { ObjectInstance } from './instance.ts';
import type { ObjectTree } from './object-tree.ts';
import { checkNotSecurity, notFound } from './object-tree.ts';

type LinkAttributes = [string, string | null][];

function link(path: Path, attributes: LinkAttributes = []): Link {
  return { target: formatPath(path), attributes: new Map(attributes) };
}

function versionOf(tree: ObjectTree, objectId: number): LinkAttributes {
  const version = tree.model.object(objectId)?.version ?? '1.0';
  return version === '1.0' ? [] : [['ver', version]];
}

/** What Register says of the client (LwM2M Core 1.1 §6.2.1): objects and instances, object 0 left out. */
export function registrationLinks(tree: ObjectTree): Link[] {
  const formats = [ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR, ContentFormat.LWM2M_TLV];
  const root = link(
    [],
    [
      ['rt', 'oma.lwm2m'],
      ['ct', formats.join(' ')],
    ],
  );
  const objects = tree.objectIds().filter((id) => id !== 0);
  const links = objects.flatMap((objectId) => {
    const version = versionOf(tree, objectId);
    const instances = tree.instances([objectId]).map((instance) => link([objectId, instance.instanceId]));
    return version.length > 0 || instances.length === 0
      ? [link([objectId], version), ...instances]
      : instances;
  });
  return [root, ...links];
}

/** Discover (LwM2M Core 1.1 §6.3.2). Throws 4.01, 4.04, 4.05. */
export async function discoverLinks(
  tree: ObjectTree,
  attributes: AttributeStore,
  path: Path,
): Promise<Link[]> {
  checkNotSecurity(path);
  const [objectId, , resourceId] = path;
  if (objectId === undefined || !tree.hasObject(objectId)) throw notFound(path);
  const at = (where: Path): LinkAttributes => written(attributes.at(where));
  if (path.length === 1) {
    const object = link(path, [...versionOf(tree, objectId), ...at(path)]);
    return [
      object,
      ...(await Promise.all(tree.instances(path).map((each) => instanceLinks(each, false)))).flat(),
    ];
  }
  const instance = tree.instance(path);
  if (resourceId === undefined) return instanceLinks(instance, true);
  return resourceLinks(instance, resourceId, path.length === 3);

  /** The answer for an instance carries the attributes of its resources, the one for an object only their names. */
  async function instanceLinks(each: ObjectInstance, detailed: boolean): Promise<Link[]> {
    const self = [each.objectId, each.instanceId];
    const ids = each.resources.toSorted((a, b) => a - b);
    const resources = detailed
      ? (await Promise.all(ids.map((id) => resourceLinks(each, id, false)))).flat()
      : ids.map((id) => link([...self, id]));
    return [link(self, at(self)), ...resources];
  }

  async function resourceLinks(each: ObjectInstance, id: number, inherited: boolean): Promise<Link[]> {
    const definition = tree.resource(each, id);
    const self = [each.objectId, each.instanceId, id];
    const own = inherited ? written(attributes.effective(self)) : at(self);
    if (path.length === 4) {
      const [found] = (await instancesOf(each, id)).filter((instanceId) => instanceId === path[3]);
      if (found === undefined) throw notFound(path);
      return [link(path, written(attributes.effective(path)))];
    }
    if (!definition.multiple || !definition.operations.includes('R')) return [link(self, own)];
    const instances = await instancesOf(each, id);
    const resource = link(self, [['dim', String(instances.length)], ...own]);
    return path.length === 3
      ? [resource, ...instances.map((instanceId) => link([...self, instanceId], at([...self, instanceId])))]
      : [resource];
  }
}

async function instancesOf(instance: ObjectInstance, resourceId: number): Promise<number[]> {
  const value = await instance.read(resourceId);
  if (value === undefined) return [];
  return isSingle(value) ? [0] : [...value.keys()].toSorted((a, b) => a - b);
}

function written(attributes: Attributes): LinkAttributes {
  return Object.entries(attributes).map(([name, value]) => [name, String(value)]);
}
