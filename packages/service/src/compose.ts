// SPDX-License-Identifier: Apache-2.0
import type { Server } from 'node:https';
import type { KeepAliveOptions } from '@mbl/coap';
import type { CertificateAuthority } from '@mbl/trust';
import type { Context } from './context.ts';
import type { ApiKeys } from './features/api-keys/keys.ts';
import { apiKeyRoutes } from './features/api-keys/routes.ts';
import { appAskRoutes } from './features/apps/ask-routes.ts';
import { AppAsks } from './features/apps/asks.ts';
import { AppCarrier } from './features/apps/carrier.ts';
import { appCatalogueRoutes } from './features/apps/catalogue-routes.ts';
import { AppOrders } from './features/apps/orders.ts';
import { AppReports } from './features/apps/reports.ts';
import { appRoutes } from './features/apps/routes.ts';
import { AppViews } from './features/apps/views.ts';
import type { TlsIdentity } from './features/certificates/authorities.ts';
import { CertificateRegister } from './features/certificates/register.ts';
import { certificateRoutes } from './features/certificates/routes.ts';
import { Connections } from './features/connections/connections.ts';
import { Edge } from './features/connections/edge.ts';
import { Presence } from './features/connections/presence.ts';
import { Registrations } from './features/connections/registrations.ts';
import { Denials } from './features/denials/denials.ts';
import { denialRoutes } from './features/denials/routes.ts';
import { DeviceGroups } from './features/device-groups/groups.ts';
import { deviceGroupRoutes } from './features/device-groups/routes.ts';
import { EventRecorder } from './features/device-events/recorder.ts';
import { deviceEventRoutes } from './features/device-events/routes.ts';
import { DeviceDirectory } from './features/devices/directory.ts';
import { deviceRoutes } from './features/devices/routes.ts';
import { EnrolmentCodes } from './features/enrolment/codes.ts';
import { createEstServer } from './features/enrolment/est-server.ts';
import { enrolmentRoutes } from './features/enrolment/routes.ts';
import { healthRoutes } from './features/health/routes.ts';
import { Incidents } from './features/incidents/incidents.ts';
import { Channels } from './features/notifications/channels.ts';
import { notificationRoutes } from './features/notifications/routes.ts';
import { WebSocketDoor } from './features/notifications/websocket.ts';
import { OrderCarrier } from './features/release-orders/carrier.ts';
import { ReleaseOrders } from './features/release-orders/orders.ts';
import { releaseOrderRoutes } from './features/release-orders/routes.ts';
import { RunningReleases } from './features/release-orders/running-releases.ts';
import { Catalogue } from './features/releases/catalogue.ts';
import { Incoming } from './features/releases/incoming.ts';
import { Publication } from './features/releases/publication.ts';
import { publicationRoutes } from './features/releases/publication-routes.ts';
import { repositoryServer } from './features/releases/repository-files.ts';
import { releaseRoutes } from './features/releases/routes.ts';
import { DeviceRequests } from './features/requests/device-requests.ts';
import type { LookTiming } from './features/requests/looks.ts';
import { blocked, deregistered, notConnected } from './features/requests/failure.ts';
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
  /** Folder of the repository of releases. */
  readonly releases: string;
  readonly orderTiming: LookTiming;
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
  const { keys, serviceCa, deviceCa, identity, keepAlive, certificateLife, releases, orderTiming } =
    dependencies;

  const queue = new KeyedQueue();
  const connections = new Connections();
  const { reach, revoke: disconnect, lastSeen } = connections;
  const channels = stack.use(new Channels(now));
  const events = new EventRecorder(context, channels.publish);
  const directory = new DeviceDirectory(context, events);
  const register = new CertificateRegister(context, events, deviceCa, certificateLife);
  const denials = new Denials(context, events);
  const codes = new EnrolmentCodes(context, { directory, register, events, disconnect });

  const presence = new Presence(context, events, channels.publish);
  const registrations = stack.use(new Registrations(context, { denials, presence, queue, connections }));
  const requests = new DeviceRequests({ reach, now });
  const incidents = stack.use(new Incidents(context, { events }));
  const subscriptions = new Subscriptions(context, { requests, reach, publish: channels.publish });
  await subscriptions.start();
  const catalogue = new Catalogue(releases);
  const incoming = new Incoming(releases, now);
  const publication = new Publication(releases, { incoming, now });
  const appOrders = new AppOrders(context);
  const apps = stack.use(
    new AppCarrier(context, { reports: new AppReports(context, events), connections, timing: orderTiming }),
  );
  const appAsks = stack.use(new AppAsks({ requests, reach }));
  const appViews = new AppViews(context, { reach });
  const groups = new DeviceGroups(context, (deviceIds) => apps.ordered(deviceIds));
  const running = stack.use(new RunningReleases(context, { catalogue }));
  const orders = new ReleaseOrders(context, events);
  const carrier = stack.use(new OrderCarrier(context, { orders, running, reach, timing: orderTiming }));
  await carrier.start();

  // What happens to a device or a channel, and whom it concerns.
  connections.on('reachable', (device) => {
    requests.wake(device.identity.deviceId);
    void subscriptions.restore(device);
    void incidents.collect(device);
    apps.reachable(device);
    // First what it runs: an order may be carried out already.
    void running.collect(device).then(() => carrier.look(device.identity.deviceId));
  });
  connections.on('sent', (device, nodes) => {
    channels.publish({ notifications: sentValues(device, nodes, now()) });
  });
  connections.on('gone', ({ deviceId }) => requests.cancel(deviceId, deregistered()));
  connections.on('revoked', ({ id, endpoint_name }, reason) => {
    registrations.end({ deviceId: id, endpointName: endpoint_name ?? '' });
    requests.cancel(id, blocked(reason));
    connections.disconnect(id, reason);
  });
  channels.on('ended', (channel) => {
    // In the queue, which the stop waits for.
    queue
      .run(channel, () => subscriptions.release(channel))
      .catch((error: unknown) => log.error('The subscriptions of a channel could not be ended', { error }));
  });
  const pruner = setInterval(() => {
    events.prune().catch((error: unknown) => log.error('Old events could not be removed', { error }));
    orders.prune().catch((error: unknown) => log.error('Old orders could not be removed', { error }));
  }, pruneMs).unref();
  stack.defer(() => clearInterval(pruner));

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
  /** A damaged repository is no reason to show no devices. */
  const refresh = async () =>
    await running
      .refresh()
      .catch((error: unknown) => log.error('The releases could not be read', { error, folder: releases }));
  const webSockets = new WebSocketDoor({ channels, authenticate, log, now });
  const app = await buildHttpServer({
    newId,
    log,
    authenticate,
    routes(app) {
      healthRoutes(app, context);
      apiKeyRoutes(app, context, keys, channels.closeAll);
      deviceRoutes(app, context, {
        directory,
        disconnect,
        lastSeen,
        refresh,
      });
      deviceGroupRoutes(app, context, { groups, lastSeen });
      releaseRoutes(app, context, { catalogue, refresh });
      publicationRoutes(app, { publication, incoming });
      releaseOrderRoutes(app, context, { directory, groups, orders, carrier, catalogue, refresh });
      appRoutes(app, { directory, groups, catalogue, orders: appOrders, carrier: apps, views: appViews });
      appAskRoutes(app, { directory, asks: appAsks, reach });
      appCatalogueRoutes(app, context);
      certificateRoutes(app, context, directory, register, disconnect);
      enrolmentRoutes(app, context, codes);
      denialRoutes(app, context);
      deviceEventRoutes(app, context);
      rawRequestRoutes(app, context, {
        directory,
        requests,
        publish: channels.publish,
      });
      resourceRoutes(app, { directory, requests });
      subscriptionRoutes(app, directory, subscriptions, channels);
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
    serveReleases: repositoryServer(releases),
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
