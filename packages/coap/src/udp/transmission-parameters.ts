// SPDX-License-Identifier: Apache-2.0

/** RFC 7252 §4.8; times in milliseconds. */
export interface TransmissionParameters {
  ackTimeoutMs: number;
  ackRandomFactor: number;
  maxRetransmit: number;
  /** Own confirmable messages that one peer has not acknowledged yet; more wait (RFC 7252 §4.7). */
  nstart: number;
}

export const DEFAULT_TRANSMISSION: TransmissionParameters = {
  ackTimeoutMs: 2000,
  ackRandomFactor: 1.5,
  maxRetransmit: 4,
  nstart: 1,
};

const MAX_LATENCY_MS = 100_000;

/** MAX_TRANSMIT_WAIT: from the first transmission until the sender gives up (RFC 7252 §4.8.2). */
export function maxTransmitWaitMs(p: TransmissionParameters): number {
  return p.ackTimeoutMs * (2 ** (p.maxRetransmit + 1) - 1) * p.ackRandomFactor;
}

/** EXCHANGE_LIFETIME: how long a message id must not mean something else (RFC 7252 §4.8.2). */
export function exchangeLifetimeMs(p: TransmissionParameters): number {
  const maxTransmitSpan = p.ackTimeoutMs * (2 ** p.maxRetransmit - 1) * p.ackRandomFactor;
  return maxTransmitSpan + 2 * MAX_LATENCY_MS + p.ackTimeoutMs;
}
