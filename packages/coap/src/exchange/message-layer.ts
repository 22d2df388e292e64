// SPDX-License-Identifier: Apache-2.0
import type { CoapError } from '../errors.ts';
import type { CoapMessage } from '../message/message.ts';
import type { Deadline } from '../runtime/deadline.ts';

/** How much the peer takes in one message. */
export interface Capacity {
  /** Bytes of one whole message. */
  maxMessageSize: number;
  /** Bytes of payload in a message that is no block. */
  maxWholePayload: number;
  /** Whether the peer takes blocks (RFC 8323 §5.3.2); always over UDP. */
  blockwise: boolean;
  /** Size exponent of the largest block: 0 to 6, or `BERT` (RFC 8323 §6). */
  largestBlock: number;
}

/** What became of a notification. */
export interface NotificationDelivery {
  delivered(): void;
  failed(error: CoapError): void;
  /** A newer state to send in place of a retransmission (RFC 7641 §4.5.2). */
  fresher(): CoapMessage | undefined;
}

/** What a transport does for the exchanges above it, for one peer. */
export interface MessageLayer {
  /** Whether order and delivery are the transport's (RFC 8323 §2). */
  readonly reliable: boolean;
  /** Resolves when requests may be sent. */
  ready(deadline: Deadline): Promise<void>;
  capacity(): Capacity;
  /** Sends a request; the function it returns stops retransmission, once a response is here or nobody waits. */
  sendRequest(message: CoapMessage, failed: (error: CoapError) => void): () => void;
  sendNotification(message: CoapMessage, delivery: NotificationDelivery): void;
  ping(deadline: Deadline): Promise<void>;
  /** Ends the connection; the transport calls `Exchanges.terminate`. */
  close(reason: CoapError): void;
}

/** Where the answer to one request of the peer goes. Only the first call counts. */
export interface Arrival {
  respond(response: CoapMessage): void;
  /** Refuses without a response (RFC 7252 §4.2, §4.3); a transport that cannot does nothing. */
  reject(): void;
  /** Whether a request that cannot be understood is to be answered rather than rejected (RFC 7252 §5.4.1). */
  readonly confirmable: boolean;
}
