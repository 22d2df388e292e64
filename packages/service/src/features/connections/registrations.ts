// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import {
  Lwm2mError,
  Lwm2mServer,
  type Link,
  type Node,
  type Registration,
  type ServerOptions,
} from '@mbl/lwm2m';
import type { Context } from '../../context.ts';
import type { Denials } from '../denials/denials.ts';
import type { RegisteredResource } from '../devices/table.ts';
import { storable } from '../../infra/database.ts';
import type { KeyedQueue } from '../../infra/keyed-queue.ts';
import type { DeviceIdentity } from './connections.ts';
import type { Presence, RegistrationFacts } from './presence.ts';

export interface RegistrationParts {
  readonly denials: Denials;
  readonly presence: Presence;
  /** The order of what happens to one device. */
  readonly queue: KeyedQueue;
  /** Told after a registration, and after an update over a new connection: earlier observations are gone. */
  readonly onReachable: (registration: Registration<DeviceIdentity>) => void;
  /** What a device reports by itself. */
  readonly onSent: (identity: DeviceIdentity, nodes: readonly Node[]) => void;
  readonly onDeregistered: (identity: DeviceIdentity) => void;
}

/** The LwM2M registration interface (LwM2M Core 1.1 §6.2), bound to the directory. */
export function createRegistrations(context: Context, parts: RegistrationParts): Lwm2mServer<DeviceIdentity> {
  const { denials, presence, queue } = parts;
  // After the answer to the device has left: a client may serve nobody before it knows that it is registered.
  const reachable = (registration: Registration<DeviceIdentity>) =>
    setImmediate(() => parts.onReachable(registration));
  const options: ServerOptions<DeviceIdentity> = {
    endpointName: (identity) => identity.endpointName,
    async authorize(request, identity) {
      if (request.endpoint === identity.endpointName) return;
      const description = `The device tried to register as ${JSON.stringify(request.endpoint.slice(0, 64))}`;
      await denials.record({ door: 'lwm2m', reason: 'name-mismatch', description, ...identity });
      throw new Lwm2mError('lwm2m/endpoint-mismatch', 'ep is not the name in the certificate', {
        status: Code.FORBIDDEN,
      });
    },
    location: () => `rd/${context.newId()}`,
    async onRegister(registration) {
      const { identity } = registration;
      await queue.run(identity.deviceId, () => presence.registered(identity, facts(registration)));
      reachable(registration);
    },
    async onUpdate(registration, changes) {
      const { identity } = registration;
      await queue.run(identity.deviceId, () => presence.updated(identity, facts(registration)));
      if (changes.peer !== undefined) reachable(registration);
    },
    onSend: ({ identity }, nodes) => parts.onSent(identity, nodes),
    onDeregister({ identity }, reason) {
      if (reason === 'replaced') return;
      parts.onDeregistered(identity);
      queue
        .run(identity.deviceId, () => presence.deregistered(identity, reason))
        .catch((error: unknown) => context.log.error('A deregistration could not be written', { error }));
    },
  };
  return new Lwm2mServer(options);
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
