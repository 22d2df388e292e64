// SPDX-License-Identifier: Apache-2.0
import type { BodyOpener, Clock, CoapPeer, RequestHandler, RequestOptions } from '@mbl/coap';
import { systemClock } from '@mbl/coap';
import { encodeLinks } from '../codecs/link-format.ts';
import { Lwm2mError } from '../errors.ts';
import { standardModel } from '../model/model.ts';
import type { ObjectDefinition } from '../model/definition.ts';
import type { Path } from '../path.ts';
import type { ObjectInstance } from './instance.ts';
import { registrationLinks } from './links.ts';
import { ObjectTree } from './object-tree.ts';
import type { ClientOptions } from './options.ts';
import { RegistrationKeeper } from './registration-keeper.ts';
import { ServedRequests } from './requests.ts';

/** Resources of the Server object that the client itself acts upon. */
const server = { objectId: 1, lifetime: 1, updateTrigger: 8 } as const;

/**
 * An LwM2M client: registers its object instances with one server and answers the server's requests.
 *
 * The connection is made with `handler`, then attached; after it was lost, make and attach another:
 * `const peer = connectStream(socket, { handler: client.handler }); await client.attach(peer);`
 * Values that are too large to be held come to where instances have a `stream` for them, given `openBody: client.openBody` too.
 */
export class Lwm2mClient implements AsyncDisposable {
  readonly handler: RequestHandler;
  readonly openBody: BodyOpener;
  readonly #clock: Clock;
  readonly #tree: ObjectTree;
  readonly #requests: ServedRequests;
  readonly #keeper: RegistrationKeeper;
  #listIsOld = false;
  #updateIsDue = false;

  /** Throws `lwm2m/instance-invalid` for instances that do not fit the model. */
  constructor(options: ClientOptions) {
    const { endpointName, objects, factories = {}, model = standardModel, clock = systemClock } = options;
    this.#clock = clock;
    this.#tree = new ObjectTree(model, (path) => this.#requests.changed(path));
    for (const instance of objects) this.#tree.add(instance);
    this.#requests = new ServedRequests({
      tree: this.#tree,
      clock,
      factories,
      events: {
        written: (path) => this.#updateIf(path, server.lifetime),
        executed: (path) => this.#updateIf(path, server.updateTrigger),
        instancesChanged: () => this.#listChanged(),
      },
    });
    this.#keeper = new RegistrationKeeper({
      endpointName,
      clock,
      binding: options.binding ?? 'T',
      parameters: options.parameters ?? {},
      timeoutMs: options.timeoutMs ?? 30_000,
      content: async () => {
        const lifetime = await this.#lifetime();
        this.#listIsOld = false;
        return { lifetime, payload: encodeLinks(registrationLinks(this.#tree)) };
      },
      onState: (state) => {
        options.onState?.(state);
        // An instance that came or went while the server was being told the list before.
        if (state.state === 'registered' && this.#listIsOld) this.#updateSoon();
      },
    });
    this.handler = (request, context) => this.#requests.handle(request, context);
    this.openBody = (first) => this.#requests.open(first);
  }

  get registered(): boolean {
    return this.#keeper.registered;
  }

  /** Registers over this peer, in place of an earlier one. Rejects with `Lwm2mError` or `CoapError`. */
  attach(peer: CoapPeer, options?: RequestOptions): Promise<void> {
    return this.#keeper.attach(peer, options);
  }

  /** Renews the registration now. A server that forgot it gets a new one. */
  update(options?: RequestOptions): Promise<void> {
    return this.#keeper.update(options);
  }

  /** Ends the registration; the connection stays. */
  deregister(options?: RequestOptions): Promise<void> {
    return this.#keeper.deregister(options);
  }

  /** Adds an instance; the server hears of it by an update. Throws `lwm2m/instance-invalid`. */
  add(instance: ObjectInstance): void {
    this.#tree.add(instance);
    this.#requests.changed([instance.objectId, instance.instanceId]);
    this.#listChanged();
  }

  /**
   * Puts an instance into the place of the one with its numbers, or where none was. Observations and attributes of what stays go on. Throws
   * `lwm2m/instance-invalid`, and then all is as before.
   */
  replace(instance: ObjectInstance): void {
    const { objectId, instanceId } = instance;
    const before = this.#tree.remove(objectId, instanceId);
    try {
      this.#tree.add(instance);
    } catch (error) {
      if (before !== undefined) this.#tree.add(before);
      throw error;
    }
    this.#requests.changed([objectId, instanceId]);
    if (before === undefined) this.#listChanged();
  }

  /**
   * Knows an object that the model lacks, or knows differently, from now on. `isPrivate`: no registry has it, so what the client answers by itself has
   * to tell the types. Throws `lwm2m/instance-invalid` while an instance would not fit.
   */
  define(definition: ObjectDefinition, { isPrivate = false }: { readonly isPrivate?: boolean } = {}): void {
    this.#tree.define(definition.id, definition, isPrivate);
  }

  /** Forgets an object. Throws `lwm2m/instance-invalid` while it has instances. */
  undefine(objectId: number): void {
    this.#tree.define(objectId, undefined, false);
  }

  /** Removes an instance; the server hears of it by an update. */
  remove(objectId: number, instanceId: number): void {
    if (this.#tree.remove(objectId, instanceId) === undefined) return;
    this.#requests.removed([objectId, instanceId]);
    this.#listChanged();
  }

  /** Deregisters if the server can still be reached, and stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.deregister().catch(() => undefined);
    this.#requests.stop();
    this.#tree.clear();
  }

  async #lifetime(): Promise<number> {
    const [instance] = this.#tree.instances([server.objectId]);
    const lifetime = await instance?.read(server.lifetime);
    if (typeof lifetime === 'number' && Number.isInteger(lifetime) && lifetime > 0) return lifetime;
    throw new Lwm2mError('lwm2m/lifetime-missing', 'no instance of object 1 has a lifetime', {
      remedy: 'Give the client an instance of object 1, for example serverObject({ lifetime: 3600 }).',
    });
  }

  #updateIf([objectId, , written]: Path, resourceId: number): void {
    if (objectId === server.objectId && written === resourceId) this.#updateSoon();
  }

  #listChanged(): void {
    this.#listIsOld = true;
    this.#updateSoon();
  }

  /** After the response that is on its way. What goes wrong is told as the state `lost`. */
  #updateSoon(): void {
    if (!this.registered || this.#updateIsDue) return;
    this.#updateIsDue = true;
    this.#clock.schedule(0, () => {
      this.#updateIsDue = false;
      if (this.registered) this.update().catch(() => undefined);
    });
  }
}
