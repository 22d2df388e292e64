// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import { checkHead, type CoapMessage, EMPTY_BYTES, type MessageLimits } from './message.ts';
import { bodySize, malformed, readBody, writeBody } from './option-codec.ts';

/** RFC 7252 §3: the two bits of the type. */
export const MessageType = { CON: 0, NON: 1, ACK: 2, RST: 3 } as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

export interface UdpMessage extends CoapMessage {
  type: MessageType;
  /** 0 to 65535. */
  messageId: number;
}

const VERSION = 1;
const HEAD = 4;

/** Bytes that this message takes as a datagram. */
export function udpMessageSize(message: CoapMessage): number {
  return HEAD + message.token.length + bodySize(message.options, message.payload);
}

/** Encodes one datagram (RFC 7252 §3). Throws `coap/bad-argument`. */
export function encodeUdpMessage(message: UdpMessage): Uint8Array {
  checkHead(message.code, message.token);
  const bytes = new Uint8Array(udpMessageSize(message));
  bytes[0] = (VERSION << 6) | (message.type << 4) | message.token.length;
  bytes[1] = message.code;
  bytes[2] = message.messageId >> 8;
  bytes[3] = message.messageId & 0xff;
  bytes.set(message.token, HEAD);
  writeBody(bytes, HEAD + message.token.length, message.options, message.payload);
  return bytes;
}

/** An Acknowledgement, Reset or ping: four bytes (RFC 7252 §4.1). */
export function emptyMessage(type: MessageType, messageId: number): UdpMessage {
  return { type, messageId, code: 0, token: EMPTY_BYTES, options: [], payload: EMPTY_BYTES };
}

/** Type and message id of what may be a CoAP datagram; undefined when it is none (RFC 7252 §3). */
export function peekUdpHead(bytes: Uint8Array): { type: MessageType; messageId: number } | undefined {
  if (bytes.length < HEAD || (bytes[0] as number) >> 6 !== VERSION) return undefined;
  const type = (((bytes[0] as number) >> 4) & 3) as MessageType;
  return { type, messageId: ((bytes[2] as number) << 8) | (bytes[3] as number) };
}

/** Decodes one datagram; the result shares its memory. Throws `coap/message-format`, `coap/message-too-large`. */
export function decodeUdpMessage(bytes: Uint8Array, limits: MessageLimits): UdpMessage {
  if (bytes.length > limits.maxMessageSize) {
    throw new CoapError(
      'coap/message-too-large',
      `the peer sends a datagram of ${bytes.length} bytes; this end takes ${limits.maxMessageSize}`,
    );
  }
  const head = peekUdpHead(bytes);
  if (head === undefined) throw malformed('it has no header of version 1');
  const tokenLength = (bytes[0] as number) & 0x0f;
  const code = bytes[1] as number;
  if (code === 0) return decodeEmpty(bytes, head, tokenLength);
  if (tokenLength > 8) throw malformed(`token length ${tokenLength} is reserved`);
  const bodyAt = HEAD + tokenLength;
  if (bodyAt > bytes.length) throw malformed('the token is cut off');
  const { options, payload } = readBody(bytes, bodyAt, limits.maxOptions);
  return { ...head, code, token: bytes.subarray(HEAD, bodyAt), options, payload };
}

/**
 * RFC 7252 §4.1 makes an Empty message exactly four bytes. Clients in the field acknowledge with a
 * fifth, an empty Content-Format option (`60 00 MID c0`): an ACK with one byte more is taken as empty.
 */
function decodeEmpty(
  bytes: Uint8Array,
  head: { type: MessageType; messageId: number },
  tokenLength: number,
): UdpMessage {
  const tolerated = head.type === MessageType.ACK && bytes.length === HEAD + 1;
  if (tokenLength !== 0 || (bytes.length !== HEAD && !tolerated)) {
    throw malformed('an empty message has bytes after its message id');
  }
  return emptyMessage(head.type, head.messageId);
}
