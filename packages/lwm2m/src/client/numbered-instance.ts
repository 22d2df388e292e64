// SPDX-License-Identifier: Apache-2.0
import type { ExecuteArguments } from '../execute-arguments.ts';
import type { ResourceValue } from '../values.ts';
import type { ObjectInstance, ValueSink } from './instance.ts';

export interface ResourceHandlers {
  read?(): ResourceValue | undefined | Promise<ResourceValue | undefined>;
  write?(value: ResourceValue): void | Promise<void>;
  stream?(size: number | undefined): ValueSink;
  reset?(): void | Promise<void>;
  execute?(args: ExecuteArguments): void | Promise<void>;
}

/** A value that never changes, or what to do. */
export type Resource = ResourceValue | ResourceHandlers;

/** An instance made of resources, with the way to report that one of them changed. */
export interface ReportingInstance<Resource = number> extends ObjectInstance {
  /** Call it whenever a value changed for another reason than a write of the server. */
  changed(resource: Resource): void;
}

export function isHandlers(resource: Resource): resource is ResourceHandlers {
  return (
    typeof resource === 'object' &&
    !ArrayBuffer.isView(resource) &&
    ('read' in resource || 'write' in resource || 'execute' in resource)
  );
}

/** Makes an object instance from its resources by their numbers; nothing is checked but by the client that serves it. */
export function numberedInstance(
  objectId: number,
  instanceId: number,
  resources: Readonly<Record<number, Resource>>,
): ReportingInstance {
  const handlers = new Map<number, ResourceHandlers>();
  for (const [id, resource] of Object.entries(resources)) {
    handlers.set(Number(id), isHandlers(resource) ? resource : { read: () => resource });
  }
  const listeners = new Set<(resourceId: number) => void>();
  return {
    objectId,
    instanceId,
    resources: [...handlers.keys()],
    read: (id) => handlers.get(id)?.read?.(),
    write: (id, value) => handlers.get(id)?.write?.(value),
    stream: (id, size) => handlers.get(id)?.stream?.(size),
    reset: (id) => handlers.get(id)?.reset?.(),
    execute: (id, args) => handlers.get(id)?.execute?.(args),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    changed(id) {
      for (const listener of listeners) listener(id);
    },
  };
}
