// SPDX-License-Identifier: Apache-2.0
import { isRequestCode, isResponseCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import { type PeerOptions, peerSettings } from '../exchange/peer-options.ts';
import {
  decodeUdpMessage,
  emptyMessage,
  encodeUdpMessage,
  MessageType,
  peekUdpHead,
  type UdpMessage,
} from '../message/udp-message.ts';
import type { CoapPeer } from '../peer.ts';
import {
  DEFAULT_TRANSMISSION,
  maxTransmitWaitMs,
  type TransmissionParameters,
} from './transmission-parameters.ts';
import { UdpSession, type UdpSessionSettings } from './udp-session.ts';

/** Larger than any datagram a peer should send (RFC 7252 §4.6); no more is read. */
const MAX_DATAGRAM = 2048;
/** How many of the peers idle for longest are looked at for one to give its place away. */
const EVICTION_SCAN = 64;

export interface RemoteAddress {
  address: string;
  port: number;
}

export interface DatagramTransport {
  send(datagram: Uint8Array, remote: RemoteAddress): void;
}

export interface UdpEndpointOptions extends PeerOptions {
  transmission?: Partial<TransmissionParameters>;
  /** Bytes of payload in one message: 16 to 1024, a power of two; default 1024. */
  blockSize?: number;
}

/**
 * One local endpoint over datagrams and every peer it talks with. Does no I/O: `receive` takes datagrams, the
 * transport takes those to send.
 */
export class UdpEndpoint {
  readonly #transport: DatagramTransport;
  readonly #settings: UdpSessionSettings;
  /** Least recently heard first. */
  readonly #sessions = new Map<string, UdpSession>();
  /** Peers that this end asked for are not evicted. */
  readonly #kept = new Set<string>();
  #closed: CoapError | undefined;

  constructor(transport: DatagramTransport, options: UdpEndpointOptions = {}) {
    const transmission = { ...DEFAULT_TRANSMISSION, ...options.transmission };
    const blockSize = options.blockSize ?? 1024;
    if (![16, 32, 64, 128, 256, 512, 1024].includes(blockSize)) {
      throw new CoapError('coap/bad-argument', `${blockSize} is no block size: 16 to 1024, a power of two`);
    }
    this.#transport = transport;
    this.#settings = {
      peer: peerSettings(options, maxTransmitWaitMs(transmission)),
      transmission,
      blockSize,
    };
  }

  /** The peer at this address. Closing it forgets it; a request from there makes a new one. */
  peer(remote: RemoteAddress): CoapPeer {
    if (this.#closed !== undefined) throw this.#closed;
    const key = keyOf(remote);
    this.#kept.add(key);
    return (this.#sessions.get(key) ?? this.#open(remote)).exchanges;
  }

  /** Takes one datagram. Never throws. */
  receive(datagram: Uint8Array, remote: RemoteAddress): void {
    if (this.#closed !== undefined) return;
    let message: UdpMessage;
    try {
      message = decodeUdpMessage(datagram, {
        maxMessageSize: MAX_DATAGRAM,
        maxOptions: this.#settings.peer.limits.maxOptions,
      });
    } catch (error) {
      if (!(error instanceof CoapError)) throw error;
      return this.#reject(datagram, remote);
    }
    const meaningful = isRequestCode(message.code) || isResponseCode(message.code);
    const reply = message.type === MessageType.ACK || message.type === MessageType.RST;
    // An Empty confirmable message is a ping; codes of reserved classes are rejected alike (RFC 7252 §4.2).
    if (!meaningful && !reply) return this.#reject(datagram, remote);
    const key = keyOf(remote);
    let session = this.#sessions.get(key);
    if (session === undefined) {
      if (reply) return;
      if (!isRequestCode(message.code)) return this.#reset(message.messageId, remote);
      session = this.#admit(remote);
      if (session === undefined) return;
    }
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    session.receive(message);
  }

  close(reason = new CoapError('coap/closed', 'this end closed the endpoint')): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    for (const session of [...this.#sessions.values()]) session.close(reason);
  }

  #open(remote: RemoteAddress): UdpSession {
    const key = keyOf(remote);
    const session = new UdpSession(
      (datagram) => this.#transport.send(datagram, remote),
      this.#settings,
      () => {
        if (this.#sessions.get(key) !== session) return;
        this.#sessions.delete(key);
        this.#kept.delete(key);
      },
    );
    this.#sessions.set(key, session);
    return session;
  }

  /** A session for a peer not known yet; undefined when there is no place. */
  #admit(remote: RemoteAddress): UdpSession | undefined {
    if (this.#sessions.size >= this.#settings.peer.limits.maxPeers && !this.#evict()) return undefined;
    return this.#open(remote);
  }

  #evict(): boolean {
    let scanned = 0;
    for (const [key, session] of this.#sessions) {
      if (!session.busy && !this.#kept.has(key)) {
        session.close(new CoapError('coap/evicted', 'the peer was idle and another needed its place'));
        return true;
      }
      if (++scanned === EVICTION_SCAN) return false;
    }
    return false;
  }

  /** Only confirmable messages are rejected aloud (RFC 7252 §4.2, §4.3). */
  #reject(datagram: Uint8Array, remote: RemoteAddress): void {
    const head = peekUdpHead(datagram);
    if (head?.type === MessageType.CON) this.#reset(head.messageId, remote);
  }

  #reset(messageId: number, remote: RemoteAddress): void {
    this.#transport.send(encodeUdpMessage(emptyMessage(MessageType.RST, messageId)), remote);
  }
}

function keyOf({ address, port }: RemoteAddress): string {
  return `${address} ${port}`;
}
