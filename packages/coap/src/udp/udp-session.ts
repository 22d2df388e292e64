// SPDX-License-Identifier: Apache-2.0
import { isRequestCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import { Exchanges } from '../exchange/exchanges.ts';
import type { Arrival, Capacity, MessageLayer, NotificationDelivery } from '../exchange/message-layer.ts';
import type { PeerSettings } from '../exchange/peer-options.ts';
import { type CoapMessage, EMPTY_BYTES } from '../message/message.ts';
import { emptyMessage, encodeUdpMessage, MessageType, type UdpMessage } from '../message/udp-message.ts';
import type { Deadline } from '../runtime/deadline.ts';
import { MessageMemory, type Remembered } from './message-memory.ts';
import { exchangeLifetimeMs, type TransmissionParameters } from './transmission-parameters.ts';
import { type Outcome, Transmissions } from './transmissions.ts';

/** What a datagram should hold at most (RFC 7252 §4.6). */
const MESSAGE_SIZE = 1152;
/** How long a response may take and still ride on the Acknowledgement; far below the peer's ACK_TIMEOUT. */
const PIGGYBACK_MS = 200;

export interface UdpSessionSettings {
  peer: PeerSettings;
  transmission: TransmissionParameters;
  /** Bytes of payload in one message: 16 to 1024, a power of two. */
  blockSize: number;
}

/** Messages to and from one remote endpoint over datagrams (RFC 7252 §4). */
export class UdpSession implements MessageLayer {
  readonly reliable = false;
  readonly exchanges: Exchanges;
  readonly #settings: UdpSessionSettings;
  readonly #send: (datagram: Uint8Array) => void;
  readonly #removed: () => void;
  readonly #transmissions: Transmissions;
  readonly #memory: MessageMemory;
  readonly #pings = new Set<(error: CoapError) => void>();

  constructor(send: (datagram: Uint8Array) => void, settings: UdpSessionSettings, removed: () => void) {
    const { clock, random, limits } = settings.peer;
    this.#send = send;
    this.#settings = settings;
    this.#removed = removed;
    this.#transmissions = new Transmissions(send, clock, random, settings.transmission);
    this.#memory = new MessageMemory(clock, exchangeLifetimeMs(settings.transmission), limits.maxRemembered);
    this.exchanges = new Exchanges(this, settings.peer);
  }

  get busy(): boolean {
    return this.exchanges.busy || this.#transmissions.busy;
  }

  receive(message: UdpMessage): void {
    if (message.type === MessageType.ACK) return this.#acknowledged(message);
    if (message.type === MessageType.RST) {
      this.#transmissions.reject(message.messageId);
      return;
    }
    const known = this.#memory.find(message);
    if (known !== undefined) {
      if (known.reply !== undefined) this.#send(known.reply);
      else known.repeated?.();
      return;
    }
    const entry = this.#memory.add(message);
    if (isRequestCode(message.code)) {
      const confirmable = message.type === MessageType.CON;
      this.exchanges.receiveRequest(message, confirmable ? this.#arrival(message, entry) : this.#casual());
      return;
    }
    const wanted = this.exchanges.receiveResponse(message);
    // Rejecting a notification nobody wants makes the server forget this client (RFC 7641 §3.6).
    if (!wanted) this.#reply(entry, emptyMessage(MessageType.RST, message.messageId));
    else if (message.type === MessageType.CON) {
      this.#reply(entry, emptyMessage(MessageType.ACK, message.messageId));
    }
  }

  async ready(): Promise<void> {}

  capacity(): Capacity {
    const { blockSize } = this.#settings;
    return {
      maxMessageSize: MESSAGE_SIZE,
      maxWholePayload: blockSize,
      blockwise: true,
      largestBlock: Math.log2(blockSize) - 4,
    };
  }

  sendRequest(message: CoapMessage, failed: (error: CoapError) => void): () => void {
    return this.#transmissions.start(message, {
      settled: (outcome) => {
        const error = failure(outcome, 'the request');
        if (error !== undefined) failed(error);
      },
    });
  }

  sendNotification(message: CoapMessage, delivery: NotificationDelivery): void {
    this.#transmissions.start(message, {
      settled: (outcome) => {
        const error = failure(outcome, 'the notification');
        if (error === undefined) delivery.delivered();
        else delivery.failed(error);
      },
      fresher: () => delivery.fresher(),
    });
  }

  /** An Empty confirmable message, which the peer rejects (RFC 7252 §4.3). */
  async ping(deadline: Deadline): Promise<void> {
    let failed: ((error: CoapError) => void) | undefined;
    try {
      await deadline.wait<void>((resolve, reject) => {
        failed = reject;
        this.#pings.add(reject);
        return this.#transmissions.start(
          { code: 0, token: EMPTY_BYTES, options: [], payload: EMPTY_BYTES },
          {
            settled: (outcome) => {
              if (outcome === 'timed-out') reject(unanswered('the ping'));
              else resolve();
            },
          },
        );
      });
    } finally {
      if (failed !== undefined) this.#pings.delete(failed);
    }
  }

  close(reason: CoapError): void {
    if (this.exchanges.closed.aborted) return;
    this.#transmissions.clear();
    this.exchanges.terminate(reason);
    for (const failed of this.#pings) failed(reason);
    this.#removed();
  }

  #acknowledged(message: UdpMessage): void {
    // An Acknowledgement for nothing in flight is late or forged: what rides on it is ignored too.
    if (!this.#transmissions.acknowledge(message.messageId)) return;
    if (message.code !== 0 && !isRequestCode(message.code)) this.exchanges.receiveResponse(message);
  }

  /** Where the answer to a confirmable request goes: on the Acknowledgement, or separately (RFC 7252 §5.2). */
  #arrival(request: UdpMessage, entry: Remembered): Arrival {
    const { messageId } = request;
    let acknowledged = false;
    let done = false;
    const acknowledge = (): void => {
      if (acknowledged || done) return;
      acknowledged = true;
      this.#reply(entry, emptyMessage(MessageType.ACK, messageId));
    };
    const timer = this.#settings.peer.clock.schedule(PIGGYBACK_MS, acknowledge);
    entry.repeated = acknowledge;
    const answer = (send: () => void): void => {
      if (done) return;
      done = true;
      timer.cancel();
      entry.repeated = undefined;
      if (!this.exchanges.closed.aborted) send();
    };
    return {
      confirmable: true,
      reject: () => answer(() => this.#reply(entry, emptyMessage(MessageType.RST, messageId))),
      respond: (response) =>
        answer(() => {
          if (acknowledged) this.#transmissions.start(response, { settled: () => {} });
          else this.#reply(entry, { ...response, type: MessageType.ACK, messageId });
        }),
    };
  }

  /** A non-confirmable request has a non-confirmable response (RFC 7252 §5.2.3). */
  #casual(): Arrival {
    let done = false;
    return {
      confirmable: false,
      reject: () => {
        done = true;
      },
      respond: (response) => {
        if (done || this.exchanges.closed.aborted) return;
        done = true;
        const messageId = this.#transmissions.nextMessageId();
        this.#send(encodeUdpMessage({ ...response, type: MessageType.NON, messageId }));
      },
    };
  }

  #reply(entry: Remembered, message: UdpMessage): void {
    entry.reply = encodeUdpMessage(message);
    this.#send(entry.reply);
  }
}

function failure(outcome: Outcome, what: string): CoapError | undefined {
  if (outcome === 'acknowledged') return undefined;
  if (outcome === 'timed-out') return unanswered(what);
  return new CoapError('coap/reset', `the peer rejected ${what}`);
}

function unanswered(what: string): CoapError {
  return new CoapError('coap/timeout', `the peer did not acknowledge ${what}`);
}
