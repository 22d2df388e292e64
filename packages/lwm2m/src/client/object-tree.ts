// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import type { ObjectDefinition, ResourceDefinition } from '../model/definition.ts';
import type { ObjectModel } from '../model/model.ts';
import type { Path } from '../path.ts';
import { formatPath, isId } from '../path.ts';
import type { ObjectInstance } from './instance.ts';

export type ChangeListener = (path: Path) => void;

/** The object instances of a client. */
export class ObjectTree {
  #model: ObjectModel;
  readonly #private = new Set<number>();
  readonly #objects = new Map<number, Map<number, ObjectInstance>>();
  readonly #unsubscribe = new Map<ObjectInstance, () => void>();
  readonly #changed: ChangeListener;

  constructor(model: ObjectModel, changed: ChangeListener) {
    this.#model = model;
    this.#changed = changed;
  }

  get model(): ObjectModel {
    return this.#model;
  }

  /**
   * Knows an object by this definition from now on; `undefined`: no longer. `isPrivate`: no server can know it. Throws `lwm2m/instance-invalid` while there
   * is an instance that would not fit.
   */
  define(objectId: number, definition: ObjectDefinition | undefined, isPrivate: boolean): void {
    const model = this.#model.with(new Map([[objectId, definition]]));
    const instances = this.instances([objectId]);
    for (const instance of instances) checkInstance(model, instance);
    if (definition?.multiple === false && instances.length > 1) throw taken([objectId]);
    this.#model = model;
    if (definition !== undefined && isPrivate) this.#private.add(objectId);
    else this.#private.delete(objectId);
  }

  /** Whether only this client knows the object: what it answers has to tell types. */
  isPrivate(objectId: number): boolean {
    return this.#private.has(objectId);
  }

  /** Throws `lwm2m/instance-invalid` for an instance that the model does not know or that is there already. */
  add(instance: ObjectInstance): void {
    const { objectId, instanceId } = instance;
    const definition = checkInstance(this.model, instance);
    const instances = this.#objects.get(objectId) ?? new Map<number, ObjectInstance>();
    if (instances.has(instanceId) || (!definition.multiple && instances.size > 0))
      throw taken([objectId, instanceId]);
    instances.set(instanceId, instance);
    this.#objects.set(objectId, new Map([...instances].toSorted(([a], [b]) => a - b)));
    const stop = instance.onChange?.((id) => this.#changed([objectId, instanceId, id]));
    if (stop !== undefined) this.#unsubscribe.set(instance, stop);
  }

  /** The instance that was removed; undefined when there was none. */
  remove(objectId: number, instanceId: number): ObjectInstance | undefined {
    const instances = this.#objects.get(objectId);
    const instance = instances?.get(instanceId);
    if (instances === undefined || instance === undefined) return undefined;
    instances.delete(instanceId);
    if (instances.size === 0) this.#objects.delete(objectId);
    this.#unsubscribe.get(instance)?.();
    this.#unsubscribe.delete(instance);
    return instance;
  }

  clear(): void {
    for (const stop of this.#unsubscribe.values()) stop();
    this.#unsubscribe.clear();
    this.#objects.clear();
  }

  /** In ascending order. Object 0 is among them. */
  objectIds(): number[] {
    return [...this.#objects.keys()].toSorted((a, b) => a - b);
  }

  /** The instances at or below a path, in ascending order. */
  instances(path: Path): ObjectInstance[] {
    const [objectId, instanceId] = path;
    const objectIds = objectId === undefined ? this.objectIds() : [objectId];
    const all = objectIds.flatMap((id) => [...(this.#objects.get(id)?.values() ?? [])]);
    return instanceId === undefined ? all : all.filter((instance) => instance.instanceId === instanceId);
  }

  /** The instance that a path of two or more numbers names. Throws `lwm2m/not-found` (4.04). */
  instance(path: Path): ObjectInstance {
    const [instance] = path.length < 2 ? [] : this.instances(path);
    if (instance === undefined) throw notFound(path);
    return instance;
  }

  hasObject(objectId: number): boolean {
    return this.#objects.has(objectId);
  }

  /** The definition of a resource that the instance has. Throws `lwm2m/not-found` (4.04). */
  resource(instance: ObjectInstance, resourceId: number): ResourceDefinition {
    const path = [instance.objectId, instance.instanceId, resourceId];
    const definition = this.model.resource(path);
    if (definition === undefined || !instance.resources.includes(resourceId)) throw notFound(path);
    return definition;
  }
}

/** Throws `lwm2m/instance-invalid` for what the model does not know. */
function checkInstance(
  model: ObjectModel,
  { objectId, instanceId, resources }: ObjectInstance,
): ObjectDefinition {
  const path = formatPath([objectId, instanceId]);
  const definition = model.object(objectId);
  if (definition === undefined || !isId(instanceId)) {
    throw new Lwm2mError('lwm2m/instance-invalid', `the model has no object for ${path}`, {
      status: Code.NOT_FOUND,
    });
  }
  const unknown = resources.find((id) => model.resource([objectId, instanceId, id]) === undefined);
  if (unknown !== undefined)
    throw new Lwm2mError('lwm2m/instance-invalid', `the model has no resource ${unknown} for ${path}`);
  return definition;
}

function taken(path: Path): Lwm2mError {
  return new Lwm2mError(
    'lwm2m/instance-invalid',
    `there is already an instance in the place of ${formatPath(path)}`,
    { status: Code.BAD_REQUEST },
  );
}

export function notFound(path: Path): Lwm2mError {
  return new Lwm2mError('lwm2m/not-found', `there is no ${formatPath(path)}`, { status: Code.NOT_FOUND });
}

export function notAllowed(path: Path, operation: string): Lwm2mError {
  return new Lwm2mError('lwm2m/not-allowed', `${formatPath(path)} does not allow ${operation}`, {
    status: Code.METHOD_NOT_ALLOWED,
  });
}

/** Object 0 holds keys: no server may see that it exists (LwM2M Core 1.1 §6.3, §7.3.2). Throws 4.01. */
export function checkNotSecurity(path: Path): void {
  if (path[0] === 0) {
    throw new Lwm2mError('lwm2m/unauthorized', 'object 0 is out of reach', { status: Code.UNAUTHORIZED });
  }
}
