// SPDX-License-Identifier: Apache-2.0
import type { Server } from 'node:https';
import type { KeepAliveOptions } from '@mbl/coap';
import type { CertificateAuthority } from '@mbl/trust';
import type { Context } from './context.ts';
import type { ApiKeys } from './features/api-keys/keys.ts';
import { apiKeyRoutes } from './features/api-keys/routes.ts';
import type { TlsIdentity } from './features/certificates/authorities.ts';
import { CertificateRegister } from './features/certificates/register.ts';
import { certificateRoutes } from './features/certificates/routes.ts';
import { Connections } from './features/connections/connections.ts';
import { Edge } from './features/connections/edge.ts';
import { Presence } from './features/connections/presence.ts';
import { createRegistrations } from './features/connections/registrations.ts';
import { Denials } from './features/denials/denials.ts';
import { denialRoutes } from './features/denials/routes.ts';
import { EventRecorder } from './features/device-events/recorder.ts';
import { deviceEventRoutes } from './features/device-events/routes.ts';
import { DeviceDirectory, type Disconnect } from './features/devices/directory.ts';
import { deviceRoutes } from './features/devices/routes.ts';
import { EnrolmentCodes } from './features/enrolment/codes.ts';
import { createEstServer } from './features/enrolment/est-server.ts';
import { enrolmentRoutes } from './features/enrolment/routes.ts';
import { healthRoutes } from './features/health/routes.ts';
import { Incidents } from './features/incidents/incidents.ts';
import { Channels } from './features/notifications/channels.ts';
import { notificationRoutes } from './features/notifications/routes.ts';
import { WebSocketDoor } from './features/notifications/websocket.ts';
import { DeviceRequests, type Reachable } from './features/requests/device-requests.ts';
import { notConnected, RequestFailure } from './features/requests/failure.ts';
import { rawRequestRoutes } from './features/requests/raw-routes.ts';
import { resourceRoutes } from './features/requests/resource-routes.ts';
import { sentValues } from './features/requests/sent-values.ts';
import { subscriptionRoutes } from './features/subscriptions/routes.ts';
import { Subscriptions } from './features/subscriptions/subscriptions.ts';
import { type App, buildHttpServer } from './infra/http/server.ts';
import { KeyedQueue } from './infra/keyed-queue.ts';

export interface Dependencies {
  readonly keys: ApiKeys;
  readonly serviceCa: CertificateAuthority;
  readonly deviceCa: CertificateAuthority;
  readonly identity: TlsIdentity;
  readonly keepAlive: KeepAliveOptions;
  /** Seconds. */
  readonly certificateLife: number;
}

/** The three listeners, ready to listen. */
export interface Listeners {
  readonly app: App;
  readonly est: Server;
  readonly edge: Edge;
}

const pruneMs = 3_600_000;

/** Puts the features together: who is handed what, and in which order they end (the reverse of `stack`). */
export async function compose(
  context: Context,
  dependencies: Dependencies,
  stack: AsyncDisposableStack,
): Promise<Listeners> {
  const { log, now, newId } = context;
  const { keys, serviceCa, deviceCa, identity, keepAlive, certificateLife } = dependencies;

  const channels = stack.use(
    new Channels(now, (channel) => {
      // In the queue, which the stop waits for.
      queue
        .run(channel, () => subscriptions.release(channel))
        .catch((error: unknown) => log.error('The subscriptions of a channel could not be ended', { error }));
    }),
  );
  const events = new EventRecorder(context, channels.publish);
  const pruner = setInterval(() => {
    events.prune().catch((error: unknown) => log.error('Old events could not be removed', { error }));
  }, pruneMs).unref();
  stack.defer(() => clearInterval(pruner));
  const connections = new Connections();
  // A device that loses its right loses everything that goes with it.
  const disconnect: Disconnect = ({ id, endpoint_name }, reason) => {
    const endpointName = endpoint_name ?? '';
    const registered = registrations.registration(endpointName);
    if (registered !== undefined) registrations.remove(registered);
    // One of which only the directory knows, from before the service started, ends too.
    else
      queue
        .run(id, () => presence.deregistered({ deviceId: id, endpointName }, 'removed'))
        .catch((error: unknown) => log.error('A deregistration could not be written', { error }));
    requests.cancel(id, new RequestFailure(429, 'DEVICE_BLOCKED', reason));
    connections.disconnect(id, reason);
  };
  const directoryOfDevices = new DeviceDirectory(context, events);
  const register = new CertificateRegister(context, events, deviceCa, certificateLife);
  const denials = new Denials(context, events);
  const codes = new EnrolmentCodes(context, { directory: directoryOfDevices, register, events, disconnect });

  const presence = new Presence(context, events, channels.publish);
  const queue = new KeyedQueue();
  const registrations = stack.use(
    createRegistrations(context, {
      denials,
      presence,
      queue,
      onReachable(device) {
        requests.wake(device.identity.deviceId);
        subscriptions
          .restore(device)
          .catch((error: unknown) => log.error('Subscriptions could not be restored', { error }));
        void incidents.collect(device);
      },
      onSent: (device, nodes) => channels.publish({ notifications: sentValues(device, nodes, now()) }),
      onDeregistered({ deviceId }) {
        subscriptions.gone(deviceId);
        requests.cancel(
          deviceId,
          new RequestFailure(429, 'DEVICE_REMOVED_REGISTRATION', 'The device deregistered'),
        );
      },
    }),
  );
  const reach = (deviceId: string): Reachable | undefined => {
    const connection = connections.get(deviceId);
    const registration = connection && registrations.registration(connection.identity.endpointName);
    // A registration outlives its connection; it counts again when the device shows it on the new one.
    return registration?.peer === connection?.peer ? registration : undefined;
  };
  const requests = new DeviceRequests({ reach, now });
  const incidents = stack.use(new Incidents(context, { events }));
  const subscriptions = new Subscriptions(context, requests, channels.publish);
  await subscriptions.start();
  const edge = stack.use(
    new Edge(context, {
      identity,
      register,
      denials,
      presence,
      connections,
      registrations,
      queue,
      keepAlive,
    }),
  );

  const authenticate = async (token: string) => (await keys.verify(token))?.id;
  const webSockets = new WebSocketDoor({ channels, authenticate, log, now });
  const app = await buildHttpServer({
    newId,
    log,
    authenticate,
    routes(app) {
      healthRoutes(app, context);
      apiKeyRoutes(app, context, keys, channels.closeAll);
      deviceRoutes(app, context, {
        directory: directoryOfDevices,
        disconnect,
        lastSeen: (id) => connections.lastSeen(id),
      });
      certificateRoutes(app, context, directoryOfDevices, register, disconnect);
      enrolmentRoutes(app, context, codes);
      denialRoutes(app, context);
      deviceEventRoutes(app, context);
      rawRequestRoutes(app, context, {
        directory: directoryOfDevices,
        requests,
        publish: channels.publish,
      });
      resourceRoutes(app, { directory: directoryOfDevices, requests });
      subscriptionRoutes(app, directoryOfDevices, subscriptions, channels);
      notificationRoutes(app, { channels, connected: (channel) => webSockets.isConnected(channel) });
    },
  });
  await app.ready();
  webSockets.attach(app.server);
  stack.defer(() => app.close());
  // Whoever waits for an answer gets one, so that closing the server does not wait for them.
  stack.defer(() => {
    requests.cancelAll(notConnected());
    channels[Symbol.dispose]();
  });
  // The server knows its upgraded connections no more, and yet waits for them.
  stack.use(webSockets);
  const est = createEstServer(context, {
    identity,
    serviceCa: serviceCa.certificate,
    register,
    codes,
    denials,
    events,
    connected: (deviceId) => connections.get(deviceId) !== undefined,
  });
  stack.defer(() => closed(est));

  return { app, est, edge };
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((done) => {
    server.close(() => done());
    server.closeAllConnections();
  });
}
