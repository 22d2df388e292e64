// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import type { AppResource } from '@mbl/formats';
import {
  type ExecuteArguments,
  Lwm2mError,
  type Lwm2mValue,
  type ObjectInstance,
  type ResourceType,
} from '@mbl/lwm2m';
import { longestValue, sizeOf } from './values.ts';

/** A resource that an app has registered, and its value now. */
export interface HeldResource {
  readonly path: string;
  readonly ids: readonly [object: number, instance: number, resource: number];
  readonly type: ResourceType;
  readonly operations: AppResource['operations'];
  readonly name: string;
  readonly units: string;
  /** Where a server resets it to; undefined: it has no value then. */
  readonly initial: Lwm2mValue | undefined;
  value: Lwm2mValue | undefined;
}

/** What the owner of an instance hears of a server. */
export interface OwnerEvents {
  written(resource: HeldResource): void;
  /** False where nobody is there to hear it. */
  executed(resource: HeldResource, args: ExecuteArguments): boolean;
}

/** One object instance of an app. A server may do with a resource what `app.json` says, however much the object would allow. */
export class AppInstance implements ObjectInstance {
  readonly objectId: number;
  readonly instanceId: number;
  readonly resources: readonly number[];
  readonly held: ReadonlyMap<number, HeldResource>;
  readonly #events: OwnerEvents;
  readonly #listeners = new Set<(resourceId: number) => void>();

  constructor(held: readonly [HeldResource, ...HeldResource[]], events: OwnerEvents) {
    [this.objectId, this.instanceId] = held[0].ids;
    this.held = new Map(held.map((one) => [one.ids[2], one]));
    this.resources = [...this.held.keys()];
    this.#events = events;
  }

  read(resourceId: number): Lwm2mValue | undefined {
    const resource = this.held.get(resourceId);
    return resource?.operations.includes('read') === true ? resource.value : undefined;
  }

  write(resourceId: number, value: unknown): void {
    const resource = this.#allowed(resourceId, 'write');
    const single = value as Lwm2mValue;
    if (sizeOf(single) > longestValue)
      throw new Lwm2mError('device/long-value', `a value has at most ${longestValue} bytes`, {
        status: Code.BAD_REQUEST,
      });
    resource.value = single;
    this.#events.written(resource);
  }

  reset(resourceId: number): void {
    const resource = this.#allowed(resourceId, 'write');
    resource.value = resource.initial;
    if (resource.value !== undefined) this.#events.written(resource);
  }

  execute(resourceId: number, args: ExecuteArguments): void {
    const resource = this.#allowed(resourceId, 'execute');
    if (!this.#events.executed(resource, args))
      throw new Lwm2mError('device/app-away', 'the app is not there to do it', {
        status: Code.SERVICE_UNAVAILABLE,
      });
  }

  #allowed(resourceId: number, operation: AppResource['operations'][number]): HeldResource {
    const resource = this.held.get(resourceId);
    if (resource?.operations.includes(operation) === true) return resource;
    throw new Lwm2mError('device/not-of-the-app', `the app does not let a server ${operation} it`, {
      status: Code.METHOD_NOT_ALLOWED,
    });
  }

  onChange(listener: (resourceId: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed(resourceId: number): void {
    for (const listener of this.#listeners) listener(resourceId);
  }
}
