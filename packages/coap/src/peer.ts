// SPDX-License-Identifier: Apache-2.0
import type { CoapOptions } from './options.ts';

/** A request as an application sees it. `code` is a method (RFC 7252 §12.1.1, RFC 8132): GET 0.01 is 1. */
export interface CoapRequest {
  code: number;
  options: CoapOptions;
  payload: Uint8Array;
}

/** A response as an application sees it. `code` is class << 5 | detail (RFC 7252 §3): 2.05 is 69. */
export interface CoapResponse {
  code: number;
  options: CoapOptions;
  payload: Uint8Array;
}

export interface RequestOptions {
  signal?: AbortSignal;
  /** How long to wait for the final response, in milliseconds. */
  timeoutMs?: number;
}

/** A notification (RFC 7641) or the first response to an observe request. */
export type NotificationListener = (response: CoapResponse) => void;

export interface ClientObservation {
  /** The response to the registration; a later notification goes to the listener. */
  readonly first: CoapResponse;
  /** Deregisters (RFC 7641 §3.6). */
  cancel(): Promise<void>;
}

/** What a server needs to answer observers: kept by the handler, told when the client goes away. */
export interface Observer {
  notify(response: CoapResponse): void;
  /** Ends the observation with an error response (RFC 7641 §4.2) or silently. */
  end(response?: CoapResponse): void;
  /** Aborted when the client deregisters, rejects a notification or the connection closes. */
  readonly signal: AbortSignal;
}

export interface RequestContext {
  readonly peer: CoapPeer;
  /** Present when the request asked to observe (Observe = 0); calling it accepts the observation. */
  readonly acceptObserve?: () => Observer;
}

export type RequestHandler = (
  request: CoapRequest,
  context: RequestContext,
) => CoapResponse | Promise<CoapResponse>;

/** Where a request body goes that comes in blocks and is not to be held in memory (RFC 7959). One call at a time. */
export interface BodySink {
  /** The next bytes, in their order; the next block is asked for when it resolved. A response refuses the rest, and ends the transfer. */
  write(bytes: Uint8Array): Promise<CoapResponse | undefined>;
  /** The body is whole. */
  end(): Promise<CoapResponse>;
  /** It never will be: the peer is gone, began anew, or sent nothing for `EXCHANGE_LIFETIME` (RFC 7252 §4.8.2). Maybe during `write`. */
  abort(reason: Error): void;
}

/**
 * Asked with the first of several blocks: a sink for the body, a response that refuses it, or undefined where it is to be put together for
 * the handler. Must not throw.
 */
export type BodyOpener = (first: CoapRequest) => BodySink | CoapResponse | undefined;

/**
 * One remote endpoint. Both ends of a connection may send requests (RFC 8323 §3): LwM2M needs that.
 * Blockwise transfer (RFC 7959) is done inside: requests and responses are whole bodies.
 */
export interface CoapPeer {
  request(request: CoapRequest, options?: RequestOptions): Promise<CoapResponse>;
  observe(
    request: CoapRequest,
    listener: NotificationListener,
    options?: RequestOptions,
  ): Promise<ClientObservation>;
  /** Resolves when the peer answered an empty or Ping message (RFC 7252 §4.3, RFC 8323 §5.4). */
  ping(options?: RequestOptions): Promise<void>;
  close(reason?: Error): void;
  /** Aborted with the reason when the peer is gone. */
  readonly closed: AbortSignal;
}
