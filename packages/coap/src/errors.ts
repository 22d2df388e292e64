// SPDX-License-Identifier: Apache-2.0

/** Every reason for which this package fails, stable for programs to branch on. */
export type CoapErrorCode =
  /** Bytes that are no CoAP message (RFC 7252 §3, RFC 8323 §3.2). */
  | 'coap/message-format'
  /** A message longer than this end takes, or than the peer said it takes (RFC 8323 §5.3.1). */
  | 'coap/message-too-large'
  /** An option whose value is not what its definition allows (RFC 7252 §5.4). */
  | 'coap/bad-option'
  /** A call that no message could express: a response code in a request, a token of nine bytes. */
  | 'coap/bad-argument'
  /** A body over the configured limit, or one that the peer cannot take in blocks. */
  | 'coap/body-too-large'
  /** The representation kept changing while its blocks were fetched (RFC 7959 §2.4). */
  | 'coap/body-changed'
  /** A block that does not continue what came before it (RFC 7959 §2.3). */
  | 'coap/bad-block'
  /** No answer in the time given. */
  | 'coap/timeout'
  /** The peer rejected the message (RFC 7252 §4.2). */
  | 'coap/reset'
  /** The caller's AbortSignal fired. */
  | 'coap/aborted'
  /** More at once than the configured limit. */
  | 'coap/busy'
  /** This end closed the peer. */
  | 'coap/closed'
  /** The other end, or the network, ended the connection. */
  | 'coap/connection-lost'
  /** The other end sent Release (RFC 8323 §5.5). */
  | 'coap/released'
  /** The other end sent Abort (RFC 8323 §5.6). */
  | 'coap/peer-aborted'
  /** The other end broke the rules of the connection, for example no CSM first (RFC 8323 §5.3). */
  | 'coap/protocol'
  /** No Pong in time (RFC 8323 §5.4). */
  | 'coap/keep-alive'
  /** The peer reads more slowly than it is written to, beyond the send buffer's limit. */
  | 'coap/congested'
  /** An idle datagram peer gave its place to another. */
  | 'coap/evicted';

export interface CoapErrorOptions {
  /** One sentence for the operator: what to do. */
  remedy?: string;
  cause?: unknown;
  /** Facts a program may want. */
  details?: Record<string, unknown>;
}

/** The only error that this package throws on purpose, and the only one that bytes from a peer can cause. */
export class CoapError extends Error {
  override readonly name = 'CoapError';
  readonly code: CoapErrorCode;
  readonly remedy: string | undefined;
  readonly details: Record<string, unknown> | undefined;

  constructor(code: CoapErrorCode, message: string, options: CoapErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
    this.details = options.details;
  }
}
