// SPDX-License-Identifier: Apache-2.0
import { type Clock, systemClock, type Timer } from '@mbl/coap';
import type { AppCaller, AppCallers } from '@mbl/formats';
import type { Lwm2mClient, Lwm2mValue } from '@mbl/lwm2m';
import { AppInstance, type HeldResource, type OwnerEvents } from './app-instance.ts';
import { BusError } from './bus-error.ts';
import { type DefinedResource, readDefinition } from './definition.ts';
import { isForApps, type KnownObject, objectType } from './object-types.ts';
import { fromVariant, lwm2mType, sizeOf, toVariant } from './values.ts';
import type { Variant } from './wire.ts';

/** Resources and bytes of all values that an app may have. */
const mostResources = 256;
const mostBytes = 65_536;
/** Milliseconds: observers hear of an app's changes at once, and then of the last ones when this has passed. */
export const reportInterval = 500;

/** Where an app listens: its connection to the bus. */
export interface AppListener {
  written(path: string, value: Variant): void;
  executed(path: string, text: string): void;
}

interface App {
  caller: AppCaller;
  readonly resources: Map<string, HeldResource>;
  /** The connection that registered last, while it is there. */
  listener: AppListener | undefined;
  /** Changes that observers have not heard of, and the time in which they do not hear of more. */
  readonly changed: Set<HeldResource>;
  pause: Timer | undefined;
}

export interface AppObjectsOptions {
  readonly client: Pick<Lwm2mClient, 'define' | 'undefine' | 'replace' | 'remove'>;
  readonly clock?: Clock;
}

/** What apps have in the object tree of the device. Each app is known by its uid and sees its own only. */
export class AppObjects {
  readonly #client: AppObjectsOptions['client'];
  readonly #clock: Clock;
  readonly #apps = new Map<number, App>();
  /** By `/object/instance`. */
  readonly #instances = new Map<string, { readonly uid: number; readonly instance: AppInstance }>();
  /** The objects that apps have, as the client knows them. */
  readonly #types = new Map<number, KnownObject>();

  constructor({ client, clock = systemClock }: AppObjectsOptions) {
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * Registers what a definition says, all or nothing; what the app had and the definition does not have goes. What stays keeps its value. Returns the
   * values that there are, also those that a server wrote while the app was away. Throws `BusError`.
   */
  register(uid: number, caller: AppCaller, definition: string, listener: AppListener): Map<string, Variant> {
    const app = this.#apps.get(uid);
    const before = isSame(app?.caller, caller) ? app?.resources : undefined;
    const resources = new Map(
      readDefinition(definition, caller.resources).map((one) => [one.path, hold(one, before?.get(one.path))]),
    );
    this.#put(uid, caller, resources);
    const now = this.#apps.get(uid);
    if (now !== undefined) now.listener = listener;
    return this.getAll(uid);
  }

  /** Removes resources; with no paths all. Throws `com.mbl.Error.NotRegistered`. */
  unregister(uid: number, paths: readonly string[]): void {
    const app = this.#apps.get(uid);
    for (const path of paths) this.#held(uid, path);
    if (app === undefined) return;
    const gone = new Set(paths.length === 0 ? app.resources.keys() : paths);
    this.#put(uid, app.caller, new Map([...app.resources].filter(([path]) => !gone.has(path))));
  }

  /** Sets values, all or none. Throws `com.mbl.Error.NotRegistered`, `BadValue`, `LimitsExceeded`. */
  set(uid: number, values: Iterable<readonly [string, Variant]>): void {
    const changes = [...values].map(([path, variant]) => {
      const held = this.#held(uid, path);
      return [held, fromVariant(variant, held.type)] as const;
    });
    const app = this.#apps.get(uid);
    if (app === undefined) return;
    // Numbers cannot get larger.
    if (changes.some(([, value]) => sizeOf(value) > 8)) {
      const next = new Map([...app.resources.values()].map((held) => [held, held.value]));
      for (const [held, value] of changes) next.set(held, value);
      checkSize(next.values());
    }
    for (const [held, value] of changes) {
      held.value = value;
      app.changed.add(held);
    }
    if (app.pause === undefined) this.#report(app);
  }

  /** Throws `com.mbl.Error.NotRegistered`, `Unavailable` where it has no value. */
  get(uid: number, path: string): Variant {
    const { value, type } = this.#held(uid, path);
    if (value === undefined) throw new BusError('Unavailable', `${path} has no value`);
    return toVariant(value, type);
  }

  /** The values that there are. */
  getAll(uid: number): Map<string, Variant> {
    const held = this.#apps.get(uid)?.resources.values() ?? [];
    return new Map(
      [...held].flatMap(({ path, value, type }) =>
        value === undefined ? [] : [[path, toVariant(value, type)] as const],
      ),
    );
  }

  /** Apps that are gone, or changed, lose what they may no longer have. */
  callersChanged(callers: AppCallers): void {
    for (const [uid, app] of this.#apps) {
      const caller = callers.get(uid);
      if (caller === undefined || !isSame(caller, app.caller)) {
        this.#put(uid, app.caller, new Map());
        app.pause?.cancel();
        this.#apps.delete(uid);
        continue;
      }
      const stays = ({ path, type, operations }: HeldResource) =>
        caller.resources.some(
          (one) =>
            one.path === path && lwm2mType(one.type) === type && one.operations.join() === operations.join(),
        );
      const resources = new Map([...app.resources].filter(([, held]) => stays(held)));
      if (resources.size < app.resources.size) this.#put(uid, caller, resources);
      else app.caller = caller;
    }
  }

  /** A connection ended: nobody hears for the app until it registers again; its values stay. */
  disconnected(listener: AppListener): void {
    for (const app of this.#apps.values()) if (app.listener === listener) app.listener = undefined;
  }

  /** Without it a timer would keep the process. */
  stop(): void {
    for (const { pause } of this.#apps.values()) pause?.cancel();
  }

  #held(uid: number, path: string): HeldResource {
    const held = this.#apps.get(uid)?.resources.get(path);
    if (held !== undefined) return held;
    throw new BusError('NotRegistered', `${path.slice(0, 64)} is not registered`);
  }

  /** Observers hear of what changed; more is kept until the interval has passed. */
  #report(app: App): void {
    app.pause = undefined;
    if (app.changed.size === 0) return;
    for (const held of app.changed) {
      const found = this.#instances.get(instancePath(held));
      if (found?.instance.held.get(held.ids[2]) === held) found.instance.changed(held.ids[2]);
    }
    app.changed.clear();
    app.pause = this.#clock.schedule(reportInterval, () => this.#report(app));
  }

  /** Gives an app these resources and no others. Throws `BusError`, and then all is as before. */
  #put(uid: number, caller: AppCaller, resources: Map<string, HeldResource>): void {
    if (resources.size > mostResources)
      throw new BusError('LimitsExceeded', `an app has at most ${mostResources} resources`);
    checkSize([...resources.values()].map(({ value }) => value));
    const groups = Map.groupBy(resources.values(), instancePath);
    for (const [path, held] of groups) this.#checkPlace(uid, path, held);
    const mine = [...this.#instances.values()].filter(({ uid: owner }) => owner === uid);
    const objects = new Set(
      [...resources.values()].map(({ ids }) => ids[0]).concat(mine.map(({ instance }) => instance.objectId)),
    );
    const types = [...objects].map((id) => this.#typeOf(id, uid, resources));
    // From here on nothing fails. What is there still fits while it is replaced: only then an object loses what nobody has of it any more.
    for (const type of types) if (type !== undefined) this.#define(widened(type, this.#types));
    for (const { instance } of mine) {
      const path = `/${instance.objectId}/${instance.instanceId}`;
      if (groups.has(path)) continue;
      this.#client.remove(instance.objectId, instance.instanceId);
      this.#instances.delete(path);
    }
    const app = this.#remember(uid, caller, resources);
    for (const [path, held] of groups) {
      const instance = new AppInstance(held as [HeldResource, ...HeldResource[]], eventsOf(app));
      this.#instances.set(path, { uid, instance });
      this.#client.replace(instance);
    }
    for (const type of types) if (type !== undefined) this.#define(type);
    const there = new Set([...this.#instances.values()].map(({ instance }) => instance.objectId));
    for (const id of objects) {
      if (there.has(id)) continue;
      this.#client.undefine(id);
      this.#types.delete(id);
    }
  }

  /** What an object is once the app has these resources; undefined where nobody has any of it. */
  #typeOf(
    objectId: number,
    uid: number,
    resources: ReadonlyMap<string, HeldResource>,
  ): KnownObject | undefined {
    const others = [...this.#instances.values()].filter(
      ({ uid: owner, instance }) => owner !== uid && instance.objectId === objectId,
    );
    const all = others
      .flatMap(({ instance }) => [...instance.held.values()])
      .concat([...resources.values()].filter(({ ids }) => ids[0] === objectId));
    if (all.length === 0) return undefined;
    const type = objectType(objectId, all);
    if (!type.definition.multiple && new Set(all.map(instancePath)).size > 1)
      throw new BusError('Taken', `a device has one instance of object ${objectId}`);
    return type;
  }

  #define(type: KnownObject): void {
    this.#client.define(type.definition, type);
    this.#types.set(type.definition.id, type);
  }

  #checkPlace(uid: number, path: string, [first]: readonly HeldResource[]): void {
    const object = first?.ids[0] ?? 0;
    if (!isForApps(object)) throw new BusError('Taken', `object ${object} is the device's own`);
    const owner = this.#instances.get(path)?.uid ?? uid;
    if (owner !== uid) throw new BusError('Taken', `another app has ${path}`);
  }

  #remember(uid: number, caller: AppCaller, resources: Map<string, HeldResource>): App {
    const before = this.#apps.get(uid);
    if (before !== undefined) {
      for (const held of before.changed) if (resources.get(held.path) !== held) before.changed.delete(held);
      return Object.assign(before, { caller, resources });
    }
    const app: App = { caller, resources, listener: undefined, changed: new Set(), pause: undefined };
    this.#apps.set(uid, app);
    return app;
  }
}

/** A number is given again: to another app, or to one of the same name of another team. */
function isSame(one: AppCaller | undefined, other: AppCaller): boolean {
  return one?.app === other.app && one.team === other.team;
}

/** The type, and what the object had beside it until now. */
function widened(type: KnownObject, before: ReadonlyMap<number, KnownObject>): KnownObject {
  const { definition, isPrivate } = type;
  const kept = before.get(definition.id)?.definition.resources ?? [];
  const ids = new Set(definition.resources.map(({ id }) => id));
  const resources = [...definition.resources, ...kept.filter(({ id }) => !ids.has(id))];
  return { definition: { ...definition, resources }, isPrivate };
}

function eventsOf(app: App): OwnerEvents {
  return {
    written: ({ path, value, type }) => {
      if (value !== undefined) app.listener?.written(path, toVariant(value, type));
    },
    executed: ({ path }, { text }) => {
      app.listener?.executed(path, text);
      return app.listener !== undefined;
    },
  };
}

function hold({ path, type, ...defined }: DefinedResource, before: HeldResource | undefined): HeldResource {
  const [object = 0, instance = 0, resource = 0] = path.slice(1).split('/').map(Number);
  const own = lwm2mType(type);
  const kept = before?.type === own ? before.value : undefined;
  return {
    path,
    ids: [object, instance, resource],
    type: own,
    operations: defined.operations,
    name: defined.name,
    units: defined.units,
    initial: defined.value,
    value: kept ?? defined.value,
  };
}

function instancePath({ ids }: HeldResource): string {
  return `/${ids[0]}/${ids[1]}`;
}

function checkSize(values: Iterable<Lwm2mValue | undefined>): void {
  let size = 0;
  for (const value of values) if (value !== undefined) size += sizeOf(value);
  if (size > mostBytes)
    throw new BusError('LimitsExceeded', `the values of an app have at most ${mostBytes} bytes`);
}
