// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { CoapPeer } from '@mbl/coap';
import type { Node, Registration } from '@mbl/lwm2m';
import type { NamedDevice } from '../devices/directory.ts';
import { DeviceSession } from './session.ts';

/** What the transport proved about a peer. */
export interface DeviceIdentity {
  readonly deviceId: string;
  readonly endpointName: string;
  /** SHA-256 of the certificate. */
  readonly fingerprint: string;
  readonly remoteAddress: string;
}

/** A device that is connected at this moment. */
export interface Connection {
  readonly identity: DeviceIdentity;
  readonly peer: CoapPeer;
  readonly socket: Socket;
  /** Unix time in ms at which something came from the device. */
  lastSeen: number;
  /** The one of which the directory knows. */
  savedLastSeen: number;
  /** Since it has shown its registration. */
  session?: DeviceSession;
}

/** A device that is being let in. */
export interface Entry extends Disposable {
  /** Why it may not come in any more. */
  readonly ended: string | undefined;
}

/** What happens to a device and concerns whoever holds something of it, heard in the turn in which it happens. */
export interface DeviceEvents {
  /** It can be asked; a session that it had before is over. */
  reachable: [session: DeviceSession];
  /** It reported values by itself. */
  sent: [device: DeviceIdentity, nodes: readonly Node[]];
  /** Its registration ended, and with it its session. A connection that ends is no news: the device may come back. */
  gone: [device: DeviceIdentity];
  /** It lost its right to be here, for a reason that it is told. */
  revoked: [device: NamedDevice, reason: string];
}

/** Who is connected, at most one connection a device, and who of them can be asked, one session a connection. */
export class Connections extends EventEmitter<DeviceEvents> {
  readonly #byDevice = new Map<string, Connection>();
  readonly #entering = new Map<string, { ended: string | undefined }>();

  get size(): number {
    return this.#byDevice.size;
  }

  get(deviceId: string): Connection | undefined {
    return this.#byDevice.get(deviceId);
  }

  readonly reach = (deviceId: string): DeviceSession | undefined => {
    const session = this.#byDevice.get(deviceId)?.session;
    return session?.over === false ? session : undefined;
  };

  readonly lastSeen = (deviceId: string): number | undefined => this.#byDevice.get(deviceId)?.lastSeen;

  /**
   * Begins to let a device in, one connection at a time. Whoever takes its right away before it is added reaches it, too;
   * who did so earlier is found in the record.
   */
  enter(deviceId: string): Entry {
    const entry: { ended: string | undefined } & Disposable = {
      ended: undefined,
      [Symbol.dispose]: () => void this.#entering.delete(deviceId),
    };
    this.#entering.set(deviceId, entry);
    return entry;
  }

  add(connection: Connection): void {
    this.#byDevice.set(connection.identity.deviceId, connection);
    const { closed } = connection.peer;
    closed.addEventListener('abort', () => connection.session?.end(), { once: true });
  }

  /** Forgets a connection. False when it was not the device's current one any more. */
  remove(connection: Connection): boolean {
    if (this.#byDevice.get(connection.identity.deviceId) !== connection) return false;
    return this.#byDevice.delete(connection.identity.deviceId);
  }

  /** The device has shown its registration over the connection that the registration names. It may be gone again. */
  showed(registration: Registration<DeviceIdentity>): void {
    const connection = this.#byDevice.get(registration.identity.deviceId);
    if (connection?.peer !== registration.peer || connection.peer.closed.aborted) return;
    connection.session?.end();
    connection.session = new DeviceSession(registration);
    this.emit('reachable', connection.session);
  }

  /** The registration of a device counts no more. */
  withdrew(identity: DeviceIdentity): void {
    this.#byDevice.get(identity.deviceId)?.session?.end();
  }

  /** Tells that a device lost its right to be here. */
  readonly revoke = (device: NamedDevice, reason: string): void => void this.emit('revoked', device, reason);

  /** Ends the connection of a device that lost its right to it. */
  disconnect(deviceId: string, reason: string): void {
    const entering = this.#entering.get(deviceId);
    if (entering !== undefined) entering.ended = reason;
    this.#byDevice.get(deviceId)?.peer.close(new Error(reason));
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#byDevice.values();
  }
}
