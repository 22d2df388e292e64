// SPDX-License-Identifier: Apache-2.0
import type { CoapMessage } from '../message/message.ts';
import { encodeUdpMessage, MessageType } from '../message/udp-message.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { TransmissionParameters } from './transmission-parameters.ts';

export type Outcome = 'acknowledged' | 'rejected' | 'timed-out';

export interface Confirmable {
  /** Called once, unless stopped before. */
  settled(outcome: Outcome): void;
  /** A newer message to send in place of a retransmission (RFC 7641 §4.5.2). */
  fresher?(): CoapMessage | undefined;
}

interface Transmission {
  message: CoapMessage;
  confirmable: Confirmable;
  messageId: number;
  bytes: Uint8Array;
  retransmissions: number;
  timeoutMs: number;
  timer: Timer | undefined;
}

/** Confirmable messages to one peer: sent, repeated with back-off, settled (RFC 7252 §4.2). */
export class Transmissions {
  readonly #send: (datagram: Uint8Array) => void;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #parameters: TransmissionParameters;
  readonly #inFlight = new Map<number, Transmission>();
  readonly #waiting = new Set<Transmission>();
  #lastMessageId: number;

  constructor(
    send: (datagram: Uint8Array) => void,
    clock: Clock,
    random: Random,
    parameters: TransmissionParameters,
  ) {
    this.#send = send;
    this.#clock = clock;
    this.#random = random;
    this.#parameters = parameters;
    this.#lastMessageId = Math.floor(random.fraction() * 0x1_0000);
  }

  get busy(): boolean {
    return this.#inFlight.size > 0 || this.#waiting.size > 0;
  }

  nextMessageId(): number {
    this.#lastMessageId = (this.#lastMessageId + 1) & 0xffff;
    return this.#lastMessageId;
  }

  /** Sends as soon as fewer than NSTART are in flight. The function it returns stops it without an outcome. */
  start(message: CoapMessage, confirmable: Confirmable): () => void {
    const { ackTimeoutMs, ackRandomFactor } = this.#parameters;
    const transmission: Transmission = {
      message,
      confirmable,
      messageId: 0,
      bytes: message.token,
      retransmissions: 0,
      timeoutMs: ackTimeoutMs * (1 + this.#random.fraction() * (ackRandomFactor - 1)),
      timer: undefined,
    };
    this.#waiting.add(transmission);
    this.#advance();
    return () => this.#remove(transmission);
  }

  /** An Acknowledgement came. Whether it was for one of these. */
  acknowledge(messageId: number): boolean {
    return this.#settle(messageId, 'acknowledged');
  }

  /** A Reset came. */
  reject(messageId: number): boolean {
    return this.#settle(messageId, 'rejected');
  }

  clear(): void {
    for (const transmission of this.#inFlight.values()) transmission.timer?.cancel();
    this.#inFlight.clear();
    this.#waiting.clear();
  }

  #advance(): void {
    for (const transmission of this.#waiting) {
      if (this.#inFlight.size >= this.#parameters.nstart) return;
      this.#waiting.delete(transmission);
      this.#encode(transmission);
      this.#transmit(transmission);
    }
  }

  #encode(transmission: Transmission): void {
    transmission.messageId = this.nextMessageId();
    const { message, messageId } = transmission;
    transmission.bytes = encodeUdpMessage({ ...message, type: MessageType.CON, messageId });
  }

  #transmit(transmission: Transmission): void {
    this.#inFlight.set(transmission.messageId, transmission);
    transmission.timer = this.#clock.schedule(transmission.timeoutMs, () => this.#timeout(transmission));
    this.#send(transmission.bytes);
  }

  #timeout(transmission: Transmission): void {
    if (transmission.retransmissions >= this.#parameters.maxRetransmit) {
      this.#settle(transmission.messageId, 'timed-out');
      return;
    }
    transmission.retransmissions += 1;
    transmission.timeoutMs *= 2;
    const fresher = transmission.confirmable.fresher?.();
    if (fresher !== undefined) {
      this.#inFlight.delete(transmission.messageId);
      transmission.message = fresher;
      this.#encode(transmission);
    }
    this.#transmit(transmission);
  }

  #settle(messageId: number, outcome: Outcome): boolean {
    const transmission = this.#inFlight.get(messageId);
    if (transmission === undefined) return false;
    this.#remove(transmission);
    transmission.confirmable.settled(outcome);
    return true;
  }

  #remove(transmission: Transmission): void {
    transmission.timer?.cancel();
    this.#waiting.delete(transmission);
    if (this.#inFlight.get(transmission.messageId) === transmission) {
      this.#inFlight.delete(transmission.messageId);
    }
    this.#advance();
  }
}
