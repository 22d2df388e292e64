// SPDX-License-Identifier: Apache-2.0
import type { CoapPeer } from '@mbl/coap';

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
  /** Unix time in ms at which something came from the device. */
  lastSeen: number;
  /** The one of which the directory knows. */
  savedLastSeen: number;
}

/** A device that is being let in. */
export interface Entry extends Disposable {
  /** Why it may not come in any more. */
  readonly ended: string | undefined;
}

/** Who is connected: at most one connection a device. */
export class Connections {
  readonly #byDevice = new Map<string, Connection>();
  readonly #entering = new Map<string, { ended: string | undefined }>();

  get size(): number {
    return this.#byDevice.size;
  }

  get(deviceId: string): Connection | undefined {
    return this.#byDevice.get(deviceId);
  }

  lastSeen(deviceId: string): number | undefined {
    return this.#byDevice.get(deviceId)?.lastSeen;
  }

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
  }

  /** Forgets a connection. False when it was not the device's current one any more. */
  remove(connection: Connection): boolean {
    if (this.#byDevice.get(connection.identity.deviceId) !== connection) return false;
    return this.#byDevice.delete(connection.identity.deviceId);
  }

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
