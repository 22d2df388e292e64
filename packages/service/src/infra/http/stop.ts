// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';
import type { App } from './server.ts';

/** How long a request that is under way may take when the server stops. */
const patienceMs = 5000;

/**
 * Lets `app.close()` end: Node's server waits for every connection, an idle one that is kept alive and one that never asked for anything
 * too. Requests under way are answered first, for five seconds.
 */
export function closeConnectionsAtStop(app: App): void {
  const idle = new Set<Socket>();
  let stopping = false;
  app.server.on('connection', (socket: Socket) => {
    idle.add(socket);
    socket.once('close', () => idle.delete(socket));
  });
  // Those of WebSockets, which end by themselves.
  app.server.on('upgrade', ({ socket }) => idle.delete(socket));
  app.addHook('onRequest', async ({ raw }) => {
    idle.delete(raw.socket);
  });
  app.addHook('onResponse', async ({ raw: { socket } }) => {
    if (stopping) socket.destroySoon();
    else if (!socket.destroyed) idle.add(socket);
  });
  app.addHook('preClose', async () => {
    stopping = true;
    for (const socket of idle) socket.destroy();
    setTimeout(() => app.server.closeAllConnections(), patienceMs).unref();
  });
}
