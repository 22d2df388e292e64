// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:crypto';
import { createServer as createTcpServer, type Server } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import {
  Code,
  connectStream,
  encodeTcpFrame,
  type KeepAliveOptions,
  systemClock,
  UploadBudget,
} from '@mbl/coap';
import type { Context } from '../../context.ts';
import { isPassing } from '../../infra/database.ts';
import type { KeyedQueue } from '../../infra/keyed-queue.ts';
import type { TlsIdentity } from '../certificates/authorities.ts';
import type { CertificateRegister } from '../certificates/register.ts';
import type { Claim, RejectedPeer } from '../certificates/standing.ts';
import type { Denials } from '../denials/denials.ts';
import { deviceTls } from './cipher-suites.ts';
import type { Connection, Connections, DeviceIdentity, Entry } from './connections.ts';
import { Doorway } from './doorway.ts';
import type { Presence } from './presence.ts';
import type { Registrations } from './registrations.ts';
import { leaveAlone, sparingPings, watchNetwork } from './silence.ts';

export interface EdgeParts {
  readonly identity: TlsIdentity;
  readonly register: CertificateRegister;
  readonly denials: Denials;
  readonly presence: Presence;
  readonly connections: Connections;
  readonly registrations: Registrations;
  /** Everything that concerns one device's presence happens in order. */
  readonly queue: KeyedQueue;
  /** Of a device while few are connected. */
  readonly keepAlive: KeepAliveOptions;
}

const housekeepingMs = 15_000;
/** How old the record may be of when a connected device was heard: it is what a killed service leaves; a living one knows better. */
const lastSeenMs = 300_000;
/** How long a stop waits for a database that is away. */
const stopPatienceMs = 5000;
const maximumConnections = 20_000;
const handshakeMs = 10_000;
/** Each costs a few milliseconds of computing, all in one turn of the event loop at the worst; over a slow network it is patience that ends a turn. */
const doorway = { atOnce: 48, patienceMs: 250, silenceMs: handshakeMs, clock: systemClock };
/** Bytes of requests in blocks that are not complete: a registration with all its links is far below. */
const maxUploadBytes = 256 * 1024;
const maxUploadBytesOfAll = 16 * 1024 * 1024;

/**
 * The door of the devices: CoAP over TLS over TCP (RFC 8323) with a certificate on both sides. Everybody is let finish the
 * handshake, so that who is refused can be named in the record; what is refused gets an Abort message that says why.
 */
export class Edge implements AsyncDisposable {
  readonly server: Server;
  readonly #context: Context;
  readonly #parts: EdgeParts;
  readonly #door: Doorway;
  readonly #uploads = new UploadBudget(maxUploadBytesOfAll);
  #housekeeper: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(context: Context, parts: EdgeParts) {
    this.#context = context;
    this.#parts = parts;
    parts.connections.on('reachable', ({ identity: { deviceId }, queueMode }) => {
      const connection = parts.connections.get(deviceId);
      // It may have slept before, and sleep no more.
      if (connection !== undefined) (queueMode ? leaveAlone : watchNetwork)(connection.socket);
    });
    const tls = createTlsServer({
      ...parts.identity,
      ca: [parts.register.authority.toString()],
      requestCert: true,
      rejectUnauthorized: false,
      ...deviceTls,
      ALPNProtocols: ['coap'],
      handshakeTimeout: handshakeMs,
      // A resumed session would carry the verdict of an earlier handshake.
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
    this.#door = new Doorway(doorway, (socket) => tls.emit('connection', socket));
    this.server = createTcpServer((socket) => {
      watchNetwork(socket);
      this.#door.arrive(socket);
    });
    this.server.maxConnections = maximumConnections;
    // Node only tells of a handshake that failed or took too long; to close the connection is left to us.
    tls.on('tlsClientError', (_error, socket) => socket.destroy());
    tls.on('secureConnection', (socket) => {
      socket.on('error', () => socket.destroy());
      this.#accept(socket)
        .catch((error: unknown) => {
          if (!isPassing(error)) context.log.error('A connection could not be accepted', { error });
          socket.destroy();
        })
        .finally(() => this.#door.done(socket));
    });
  }

  async start(): Promise<void> {
    await this.#parts.presence.endLeftovers();
    this.#housekeeper = setInterval(() => {
      this.#housekeep().catch((error: unknown) => {
        // That the database is away has been said.
        if (!isPassing(error)) this.#context.log.error('Housekeeping failed', { error });
      });
    }, housekeepingMs).unref();
  }

  async #accept(socket: TLSSocket): Promise<void> {
    const remoteAddress = socket.remoteAddress ?? '';
    const { connections, queue, register } = this.#parts;
    const shown = register.claim(socket.getPeerX509Certificate(), socket.authorized);
    if ('rejected' in shown) return this.#refuse(socket, shown.rejected, remoteAddress);
    const { deviceId } = shown.claim;
    const identity: DeviceIdentity = { ...shown.claim, remoteAddress };
    await queue.run(deviceId, async () => {
      if (this.#stopping || socket.destroyed) return void socket.destroy();
      const rival = connections.get(deviceId);
      if (rival !== undefined) {
        const rejected = await this.#replaces(shown.claim, rival);
        if (rejected !== undefined) return this.#refuse(socket, rejected, remoteAddress);
        rival.peer.close(new Error('replaced by a new connection'));
        await this.#left(rival, 'it did not answer while the device connected anew');
      }
      using entry = connections.enter(deviceId);
      // From here on the entry is told when its right ends; when that was earlier, the record says so, which is read after this.
      const verdict = await register.check(shown.claim);
      if ('rejected' in verdict) return this.#refuse(socket, verdict.rejected, remoteAddress);
      if (verdict.certificate.unused) await register.markUsedTogether(verdict.certificate);
      this.#enter(socket, identity, entry);
    });
  }

  /** Why a claim does not come in the place of a connection that there is; who has no right disturbs nobody. */
  async #replaces(claim: Claim, rival: Connection): Promise<RejectedPeer | undefined> {
    const verdict = await this.#parts.register.check(claim);
    if ('rejected' in verdict) return verdict.rejected;
    if (!(await this.#answers(rival))) return undefined;
    const { endpointName, fingerprint } = claim;
    const description = `The identity is in use: a second connection while the first, from ${rival.identity.remoteAddress}, answers`;
    return { reason: 'already-connected', description, endpointName, fingerprint };
  }

  /** Whether a connection is alive: the same device comes back after its network was gone, a copy comes while it is there. */
  async #answers(connection: Connection): Promise<boolean> {
    try {
      await connection.peer.ping({ timeoutMs: this.#parts.keepAlive.timeoutMs });
      return true;
    } catch {
      return false;
    }
  }

  #enter(socket: TLSSocket, identity: DeviceIdentity, entry: Entry): void {
    const { connections, presence, registrations } = this.#parts;
    if (this.#stopping || entry.ended !== undefined || socket.destroyed) return void socket.destroy();
    // Nobody waits for it: what the device does next is written behind it, or with it, so that nobody sees a registered device that is offline.
    const written = presence.online(identity);
    const peer = connectStream(socket, {
      handler: registrations.handler(identity),
      keepAlive: sparingPings(
        this.#parts.keepAlive,
        () => connections.size,
        () => connections.reach(identity.deviceId),
      ),
      limits: { maxUploadBytes },
      uploads: this.#uploads,
      onHandlerError: (error) =>
        this.#context.log.error('A request of a device failed', { ...identity, error }),
    });
    const lastSeen = this.#context.now();
    const connection: Connection = { identity, peer, socket, lastSeen, savedLastSeen: lastSeen };
    socket.on('data', () => {
      connection.lastSeen = this.#context.now();
    });
    connections.add(connection);
    written.catch((error: unknown) => {
      this.#context.log.error('Presence could not be written', { error });
      peer.close(new Error('its presence could not be written'));
    });
    this.#context.log.info('Device online', { ...identity });
    peer.closed.addEventListener('abort', () => {
      const reason = peer.closed.reason instanceof Error ? peer.closed.reason.message : 'closed';
      this.#parts.queue
        .run(identity.deviceId, () => this.#left(connection, reason))
        .catch((error: unknown) => this.#context.log.error('Presence could not be written', { error }));
    });
  }

  async #left(connection: Connection, reason: string): Promise<void> {
    if (!this.#parts.connections.remove(connection)) return;
    this.#context.log.info('Device offline', { ...connection.identity, reason });
    await this.#parts.presence.offline(connection.identity, connection.lastSeen, reason);
  }

  async #refuse(socket: TLSSocket, rejected: RejectedPeer, remoteAddress: string): Promise<void> {
    // RFC 8323 §5.6: the diagnostic payload tells the other end's log what is wrong. Not more than that: who is refused may
    // be a thief, and the description says where the device is.
    const payload = Buffer.from(
      `${rejected.reason}: the service refuses this connection, its record says why`,
    );
    const none = new Uint8Array();
    socket.write(encodeTcpFrame({ code: Code.CSM, token: none, options: [], payload: none }));
    socket.end(encodeTcpFrame({ code: Code.ABORT, token: none, options: [], payload }));
    socket.resume();
    setTimeout(() => socket.destroy(), 2000).unref();
    await this.#parts.denials.record({ door: 'lwm2m', ...rejected, remoteAddress });
  }

  async #housekeep(): Promise<void> {
    const seen = [];
    for (const connection of this.#parts.connections) {
      const { identity, lastSeen } = connection;
      if (lastSeen - connection.savedLastSeen < lastSeenMs) continue;
      connection.savedLastSeen = lastSeen;
      seen.push({ deviceId: identity.deviceId, lastSeen });
    }
    await this.#parts.presence.saveLastSeen(seen);
    await this.#parts.presence.expireRegistrations(this.#parts.registrations.deviceIds());
  }

  /** Releases every connection and writes everybody down as offline. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#housekeeper);
    const closed = new Promise<void>((done) => {
      this.server.close(() => done());
    });
    this.#door[Symbol.dispose]();
    for (const { peer } of this.#parts.connections) peer.close(new Error('the service stops'));
    this.#parts.presence.giveUp(stopPatienceMs);
    await this.#parts.queue.idle();
    await closed;
  }
}
