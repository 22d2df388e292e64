// SPDX-License-Identifier: Apache-2.0
import { Code, type RequestHandler } from '@mbl/coap';
import { Lwm2mError, Lwm2mServer, type Link, type Registration } from '@mbl/lwm2m';
import type { Context } from '../../context.ts';
import type { Denials } from '../denials/denials.ts';
import type { RegisteredResource } from '../devices/table.ts';
import { storable } from '../../infra/database.ts';
import type { KeyedQueue } from '../../infra/keyed-queue.ts';
import type { Connections, DeviceIdentity } from './connections.ts';
import type { Presence, RegistrationEnd, RegistrationFacts } from './presence.ts';

export interface RegistrationParts {
  readonly denials: Denials;
  readonly presence: Presence;
  /** The order of what happens to one device. */
  readonly queue: KeyedQueue;
  readonly connections: Connections;
}

type Who = Pick<DeviceIdentity, 'deviceId' | 'endpointName'>;

/** The LwM2M registration interface (LwM2M Core 1.1 §6.2), bound to the directory. */
export class Registrations implements Disposable {
  readonly #context: Context;
  readonly #parts: RegistrationParts;
  readonly #server: Lwm2mServer<DeviceIdentity>;

  constructor(context: Context, parts: RegistrationParts) {
    const { connections, presence, queue } = parts;
    this.#context = context;
    this.#parts = parts;
    this.#server = new Lwm2mServer({
      endpointName: (identity) => identity.endpointName,
      authorize: (request, identity) => this.#authorize(request.endpoint, identity),
      location: () => `rd/${context.newId()}`,
      onRegister: async (registration) => {
        const { identity } = registration;
        try {
          await queue.run(identity.deviceId, () => presence.registered(identity, facts(registration)));
        } catch (error) {
          // The registration before is forgotten, too.
          connections.withdrew(identity);
          throw error;
        }
        this.#showed(registration);
      },
      onUpdate: async (registration, changes) => {
        const { identity } = registration;
        await queue.run(identity.deviceId, () => presence.updated(identity, facts(registration)));
        if (changes.peer !== undefined) this.#showed(registration);
      },
      onSend: ({ identity }, nodes) => void connections.emit('sent', identity, nodes),
      onDeregister: ({ identity }, reason) => {
        if (reason === 'replaced') return;
        connections.withdrew(identity);
        connections.emit('gone', identity);
        this.#writeEnd(identity, reason);
      },
    });
  }

  /** Answers what a device asks of the registration interface. */
  handler(identity: DeviceIdentity): RequestHandler {
    return this.#server.handler(identity);
  }

  find(endpointName: string): Registration<DeviceIdentity> | undefined {
    return this.#server.registration(endpointName);
  }

  /** The ids of the devices whose registrations this service holds. */
  deviceIds(): Set<string> {
    return new Set(this.#server.registrations.map(({ identity }) => identity.deviceId));
  }

  /** The device lost its right to be registered. Of a registration from before the service started only the directory knows. */
  end(who: Who): void {
    const held = this.find(who.endpointName);
    if (held === undefined) this.#writeEnd(who, 'removed');
    else this.#server.remove(held);
  }

  [Symbol.dispose](): void {
    this.#server[Symbol.dispose]();
  }

  async #authorize(endpoint: string, identity: DeviceIdentity): Promise<void> {
    if (endpoint === identity.endpointName) return;
    const description = `The device tried to register as ${JSON.stringify(endpoint.slice(0, 64))}`;
    await this.#parts.denials.record({ door: 'lwm2m', reason: 'name-mismatch', description, ...identity });
    throw new Lwm2mError('lwm2m/endpoint-mismatch', 'ep is not the name in the certificate', {
      status: Code.FORBIDDEN,
    });
  }

  /** After the answer to the device has left: a client may serve nobody before it knows that it is registered. */
  #showed(registration: Registration<DeviceIdentity>): void {
    setImmediate(() => {
      if (this.find(registration.endpoint) === registration) this.#parts.connections.showed(registration);
    });
  }

  #writeEnd(who: Who, how: RegistrationEnd): void {
    const { presence, queue } = this.#parts;
    queue
      .run(who.deviceId, () => presence.deregistered(who, how))
      .catch((error: unknown) => this.#context.log.error('A deregistration could not be written', { error }));
  }
}

function facts(registration: Registration<DeviceIdentity>): RegistrationFacts {
  const keys = registration.parameters.get('keys');
  return {
    lifetime: registration.lifetime,
    binding: registration.binding,
    version: registration.version,
    queueMode: registration.queueMode,
    endpointType: registration.parameters.get('et'),
    imageKeys: keys === 'development' || keys === 'production' ? keys : undefined,
    resources: registration.objects.flatMap(toResource),
  };
}

/** The objects and instances of a registration in the shape of Pelion's resource list; other links are left out. */
function toResource({ target, attributes }: Link): RegisteredResource[] {
  if (!/^(\/\d{1,5}){1,4}$/.test(target)) return [];
  const text = (name: string) => {
    const value = attributes.get(name);
    return typeof value === 'string' ? { [name]: storable(value, 128) } : {};
  };
  return [{ path: target, ...text('rt'), ...text('if'), ...text('ct'), obs: true }];
}
