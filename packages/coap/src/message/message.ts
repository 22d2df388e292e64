// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import type { CoapOptions } from '../options.ts';

/** What both transports carry: RFC 7252 §3 without type and message id, RFC 8323 §3.2 without length. */
export interface CoapMessage {
  code: number;
  /** 0 to 8 bytes (RFC 7252 §3). */
  token: Uint8Array;
  options: CoapOptions;
  payload: Uint8Array;
}

/** What a decoder takes before it refuses. */
export interface MessageLimits {
  /** Bytes of one whole message. */
  maxMessageSize: number;
  maxOptions: number;
}

export const EMPTY_BYTES: Uint8Array = new Uint8Array(0);

export const PAYLOAD_MARKER = 0xff;

export function checkHead(code: number, token: Uint8Array): void {
  if (!Number.isInteger(code) || code < 0 || code > 0xff) {
    throw new CoapError('coap/bad-argument', `${code} is no CoAP code: it must fit in one byte`);
  }
  if (token.length > 8) {
    throw new CoapError('coap/bad-argument', `a token has at most 8 bytes, this one has ${token.length}`);
  }
}

/** Plain bytes: a Buffer's `slice` would share them. */
export function concatBytes(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
