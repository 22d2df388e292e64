// SPDX-License-Identifier: Apache-2.0

/** What one peer may make this end hold or do at once. */
export interface CoapLimits {
  /** Bytes of a request or response body, put together from however many blocks. */
  maxBodySize: number;
  maxOptions: number;
  /** Own requests under way; more are refused with `coap/busy`. */
  maxRequests: number;
  /** Requests of the peer under way; more are answered 5.03. */
  maxIncoming: number;
  /** Observations that the peer holds; more are answered as if they did not ask to observe. */
  maxObservers: number;
  /** Bodies that wait for their next block, in each direction; the oldest gives way. */
  maxTransfers: number;
  /** Bytes of request bodies that wait for their next block; the oldest gives way, and no body in blocks may be larger. */
  maxUploadBytes: number;
  /** Bytes written that a stream's peer has not read yet; over it the connection is given up. */
  maxSendBuffer: number;
  /** Message ids remembered for each datagram peer (RFC 7252 §4.5); the oldest gives way. */
  maxRemembered: number;
  /** Datagram peers known to one socket; the one idle for longest gives way. */
  maxPeers: number;
}

export const DEFAULT_LIMITS: CoapLimits = {
  maxBodySize: 1024 * 1024,
  maxOptions: 64,
  maxRequests: 256,
  maxIncoming: 64,
  maxObservers: 256,
  maxTransfers: 8,
  maxUploadBytes: 2 * 1024 * 1024,
  maxSendBuffer: 16 * 1024 * 1024,
  maxRemembered: 128,
  maxPeers: 10_000,
};
