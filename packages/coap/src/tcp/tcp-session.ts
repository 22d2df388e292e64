// SPDX-License-Identifier: Apache-2.0
import { Code, formatCode, isRequestCode, isResponseCode, isSignalCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import { Exchanges } from '../exchange/exchanges.ts';
import type { Arrival, Capacity, MessageLayer, NotificationDelivery } from '../exchange/message-layer.ts';
import { type PeerOptions, type PeerSettings, peerSettings } from '../exchange/peer-options.ts';
import { tokenKey } from '../exchange/token-table.ts';
import { BERT } from '../message/block.ts';
import type { CoapMessage } from '../message/message.ts';
import { encodeTcpFrame, TcpFrameSplitter, tcpFrameSize } from '../message/tcp-frame.ts';
import type { CoapPeer } from '../peer.ts';
import type { Timer } from '../runtime/clock.ts';
import type { Deadline } from '../runtime/deadline.ts';
import { KeepAlive, type KeepAliveOptions } from './keep-alive.ts';
import {
  abortMessage,
  BASE_MESSAGE_SIZE,
  type Capabilities,
  csmMessage,
  pingMessage,
  pongMessage,
  readCsm,
  readRelease,
  releaseMessage,
  unknownCriticalOption,
} from './signals.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
/** How long the requests under way have after a Release. */
const RELEASE_GRACE_MS = 10_000;
/** How long, and how much of it, a request that came before its sender's CSM waits for that. */
const CSM_GRACE_MS = 5000;
const MAX_EARLY_REQUESTS = 4;
const MAX_EARLY_BYTES = 64 * 1024;
/** Room beside a body of the largest size for header, token and options. */
const MESSAGE_OVERHEAD = 4096;

export interface TcpSessionOptions extends PeerOptions {
  /** Watches an idle connection with Ping; without it only the transport tells that the peer is gone. */
  keepAlive?: KeepAliveOptions;
  /** Bytes of one message that this end takes, told in its CSM; default: a body of the largest size. */
  maxMessageSize?: number;
}

/** What a session does to its transport. */
export interface StreamTransport {
  /** Queues bytes; gives how many are queued and not yet taken by the network. */
  write(bytes: Uint8Array): number;
  /** Ends the stream after what is queued, or at once when the peer is not to be trusted with it. */
  end(how: 'graceful' | 'immediate'): void;
}

/**
 * One connection of CoAP over TCP or TLS, either side (RFC 8323). Does no I/O: `receive` takes the stream's bytes,
 * the transport takes what is to be sent.
 */
export class TcpSession implements MessageLayer {
  readonly reliable = true;
  readonly #transport: StreamTransport;
  readonly #settings: PeerSettings;
  readonly #maxMessageSize: number;
  readonly #splitter: TcpFrameSplitter;
  readonly #exchanges: Exchanges;
  readonly #keepAlive: KeepAlive | undefined;
  readonly #pings = new Map<string, { answered(): void; failed(error: CoapError): void }>();
  readonly #readyWaiters = new Set<{ ready(): void; failed(error: CoapError): void }>();
  #peerCapabilities: Capabilities | undefined;
  #releaseTimer: Timer | undefined;
  #early: CoapMessage[] = [];
  #earlyTimer: Timer | undefined;

  constructor(transport: StreamTransport, options: TcpSessionOptions = {}) {
    this.#transport = transport;
    this.#settings = peerSettings(options, DEFAULT_TIMEOUT_MS);
    const { limits } = this.#settings;
    this.#maxMessageSize = options.maxMessageSize ?? limits.maxBodySize + MESSAGE_OVERHEAD;
    this.#splitter = new TcpFrameSplitter({
      maxMessageSize: this.#maxMessageSize,
      maxOptions: limits.maxOptions,
    });
    this.#exchanges = new Exchanges(this, this.#settings);
    this.#keepAlive =
      options.keepAlive === undefined
        ? undefined
        : new KeepAlive(this.#settings.clock, options.keepAlive, {
            ping: () => this.#send(pingMessage(this.#settings.random.bytes(2))),
            dead: (error) => this.#fail(error),
          });
  }

  get peer(): CoapPeer {
    return this.#exchanges;
  }

  /** Sends the CSM, the first message of each side (RFC 8323 §5.3). */
  start(): void {
    this.#send(csmMessage(this.#maxMessageSize));
    this.#keepAlive?.start();
  }

  /** Takes bytes of the stream. Never throws: what is wrong with them ends the session. */
  receive(chunk: Uint8Array): void {
    if (this.#gone) return;
    this.#keepAlive?.alive();
    try {
      this.#splitter.push(chunk);
      for (let message = this.#splitter.next(); message !== undefined; message = this.#splitter.next()) {
        this.#dispatch(message);
        if (this.#gone) return;
      }
    } catch (error) {
      if (!(error instanceof CoapError)) throw error;
      this.#abort(error);
    }
  }

  /** The transport ended. `cause` is its error, if it had one. */
  ended(cause?: Error): void {
    const why =
      cause === undefined ? 'the peer closed the connection' : `the connection broke: ${cause.message}`;
    this.#terminate(new CoapError('coap/connection-lost', why, { cause }));
  }

  async ready(deadline: Deadline): Promise<void> {
    if (this.#peerCapabilities !== undefined) return;
    await deadline.wait<void>((resolve, reject) => {
      const waiter = { ready: () => resolve(), failed: reject };
      this.#readyWaiters.add(waiter);
      return () => this.#readyWaiters.delete(waiter);
    });
  }

  capacity(): Capacity {
    const { maxMessageSize, blockwise } = this.#peerCapabilities ?? {
      maxMessageSize: BASE_MESSAGE_SIZE,
      blockwise: false,
    };
    return {
      maxMessageSize,
      maxWholePayload: Number.POSITIVE_INFINITY,
      blockwise,
      // Many blocks in one message need a peer that takes more than the base value (RFC 8323 §5.3.2).
      largestBlock: maxMessageSize > BASE_MESSAGE_SIZE ? BERT : 6,
    };
  }

  sendRequest(message: CoapMessage): () => void {
    this.#send(message);
    return () => {};
  }

  sendNotification(message: CoapMessage, delivery: NotificationDelivery): void {
    this.#send(message);
    delivery.delivered();
  }

  async ping(deadline: Deadline): Promise<void> {
    const token = this.#settings.random.bytes(4);
    const key = tokenKey(token);
    try {
      await deadline.wait<void>((resolve, reject) => {
        this.#pings.set(key, { answered: () => resolve(), failed: reject });
        this.#send(pingMessage(token));
        return () => {};
      });
    } finally {
      this.#pings.delete(key);
    }
  }

  /** Says Release and ends the stream (RFC 8323 §5.5). */
  close(reason: CoapError): void {
    if (this.#gone) return;
    this.#send(releaseMessage());
    this.#terminate(reason);
    this.#transport.end('graceful');
  }

  get #gone(): boolean {
    return this.#exchanges.closed.aborted;
  }

  #dispatch(message: CoapMessage): void {
    if (isSignalCode(message.code)) return this.#signal(message);
    if (this.#peerCapabilities === undefined) return this.#hold(message);
    if (isRequestCode(message.code)) this.#exchanges.receiveRequest(message, this.#arrival());
    // A response that nobody waits for any more is ignored; so are Empty (RFC 8323 §3.4) and reserved codes.
    else if (isResponseCode(message.code)) this.#exchanges.receiveResponse(message);
  }

  /**
   * A request that overtook the CSM, which has to be first (RFC 8323 §5.3): java-coap sends it so. It is served when the CSM comes soon; until
   * then nobody knows how large an answer may be.
   */
  #hold(message: CoapMessage): void {
    const early = new CoapError('coap/protocol', `the peer sent ${formatCode(message.code)} before its CSM`);
    const held = [...this.#early, message];
    const bytes = held.reduce((sum, one) => sum + tcpFrameSize(one), 0);
    if (!isRequestCode(message.code) || held.length > MAX_EARLY_REQUESTS || bytes > MAX_EARLY_BYTES)
      throw early;
    this.#early = held;
    this.#earlyTimer ??= this.#settings.clock.schedule(CSM_GRACE_MS, () => this.#abort(early));
  }

  #signal(message: CoapMessage): void {
    if (message.code === Code.ABORT) {
      const diagnostic = new TextDecoder().decode(message.payload.subarray(0, 256));
      return this.#fail(new CoapError('coap/peer-aborted', `the peer aborted the connection: ${diagnostic}`));
    }
    if (this.#peerCapabilities === undefined && message.code !== Code.CSM) {
      throw new CoapError('coap/protocol', `the peer sent ${formatCode(message.code)} before its CSM`);
    }
    const unknown = unknownCriticalOption(message);
    if (unknown !== undefined) {
      const details = message.code === Code.CSM ? { badCsmOption: unknown } : {};
      throw new CoapError(
        'coap/protocol',
        `signal ${formatCode(message.code)} has the unknown critical option ${unknown}`,
        { details },
      );
    }
    if (message.code === Code.CSM) this.#csm(message);
    else if (message.code === Code.PING) this.#send(pongMessage(message));
    else if (message.code === Code.PONG) this.#ponged(message);
    else if (message.code === Code.RELEASE) this.#released(message);
  }

  /** A Pong has its Ping's token (RFC 8323 §5.4); libcoap's has none, and then answers the oldest. */
  #ponged(message: CoapMessage): void {
    const key = message.token.length === 0 ? this.#pings.keys().next().value : tokenKey(message.token);
    if (key === undefined) return;
    this.#pings.get(key)?.answered();
    this.#pings.delete(key);
  }

  #csm(message: CoapMessage): void {
    this.#peerCapabilities = readCsm(
      message,
      this.#peerCapabilities ?? { maxMessageSize: BASE_MESSAGE_SIZE, blockwise: false },
    );
    for (const waiter of this.#readyWaiters) waiter.ready();
    this.#readyWaiters.clear();
    this.#earlyTimer?.cancel();
    for (const early of this.#early.splice(0)) this.#dispatch(early);
  }

  #released(message: CoapMessage): void {
    const error = new CoapError('coap/released', 'the peer asked to end the connection', {
      details: readRelease(message),
    });
    const end = (): void => {
      if (this.#gone) return;
      this.#terminate(error);
      this.#transport.end('graceful');
    };
    this.#releaseTimer ??= this.#settings.clock.schedule(RELEASE_GRACE_MS, end);
    this.#exchanges.drain(error, end);
  }

  #arrival(): Arrival {
    let done = false;
    return {
      confirmable: true,
      reject: () => {},
      respond: (response) => {
        if (done || this.#gone) return;
        done = true;
        this.#send(response);
      },
    };
  }

  #send(message: CoapMessage): void {
    if (this.#gone) return;
    const queued = this.#transport.write(encodeTcpFrame(message));
    const limit = this.#settings.limits.maxSendBuffer;
    if (queued > limit) {
      this.#fail(new CoapError('coap/congested', `the peer left over ${limit} bytes unread`));
    }
  }

  /** This end found the peer at fault (RFC 8323 §5.6). */
  #abort(error: CoapError): void {
    this.#send(abortMessage(error));
    this.#terminate(error);
    this.#transport.end('graceful');
  }

  #fail(error: CoapError): void {
    this.#terminate(error);
    this.#transport.end('immediate');
  }

  #terminate(error: CoapError): void {
    if (this.#gone) return;
    this.#keepAlive?.stop();
    this.#releaseTimer?.cancel();
    this.#earlyTimer?.cancel();
    this.#early = [];
    this.#exchanges.terminate(error);
    for (const waiter of this.#readyWaiters) waiter.failed(error);
    this.#readyWaiters.clear();
    for (const ping of this.#pings.values()) ping.failed(error);
    this.#pings.clear();
  }
}
