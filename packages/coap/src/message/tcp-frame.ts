// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import { checkHead, type CoapMessage, EMPTY_BYTES, type MessageLimits } from './message.ts';
import { bodySize, malformed, readBody, writeBody } from './option-codec.ts';

/** Longest header before the token: length and token length, four bytes of extended length, code. */
const LONGEST_HEAD = 6;

/** Bytes that the frame of this message takes (RFC 8323 §3.2). */
export function tcpFrameSize(message: CoapMessage): number {
  const length = bodySize(message.options, message.payload);
  return 2 + extendedLengthSize(length) + message.token.length + length;
}

/** Encodes one frame of CoAP over TCP (RFC 8323 §3.2). Throws `coap/bad-argument`. */
export function encodeTcpFrame(message: CoapMessage): Uint8Array {
  checkHead(message.code, message.token);
  const length = bodySize(message.options, message.payload);
  const extended = extendedLengthSize(length);
  const frame = new Uint8Array(2 + extended + message.token.length + length);
  const view = new DataView(frame.buffer);
  if (extended === 1) view.setUint8(1, length - 13);
  else if (extended === 2) view.setUint16(1, length - 269);
  else if (extended === 4) view.setUint32(1, length - 65805);
  const nibble = extended === 0 ? length : extended === 1 ? 13 : extended === 2 ? 14 : 15;
  frame[0] = (nibble << 4) | message.token.length;
  frame[1 + extended] = message.code;
  frame.set(message.token, 2 + extended);
  writeBody(frame, 2 + extended + message.token.length, message.options, message.payload);
  return frame;
}

/** Decodes exactly one frame; the result shares its memory. Throws `coap/message-format`, `coap/message-too-large`. */
export function decodeTcpFrame(frame: Uint8Array, limits: MessageLimits): CoapMessage {
  const head = readHead(frame, 0, frame.length, limits.maxMessageSize);
  if (head === undefined || head.total !== frame.length)
    throw malformed('the frame is not as long as it says');
  return readFrame(frame, head, limits);
}

/**
 * Cuts a byte stream into messages. Holds at most one incomplete frame, so never more than
 * `maxMessageSize` and one chunk.
 */
export class TcpFrameSplitter {
  readonly #limits: MessageLimits;
  #buffer: Uint8Array = EMPTY_BYTES;
  #start = 0;
  #end = 0;
  /** Whether `#buffer` was made here, so that its free end may be written to. */
  #owned = false;

  constructor(limits: MessageLimits) {
    this.#limits = limits;
  }

  /** Bytes of the incomplete frame that are held. */
  get pending(): number {
    return this.#end - this.#start;
  }

  /** Takes a chunk of the stream. Follow with `next` until it gives undefined. */
  push(chunk: Uint8Array): void {
    const held = this.pending;
    if (held === 0) {
      // The common case: frames are read from the chunk itself, nothing is copied.
      this.#buffer = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      this.#start = 0;
      this.#end = chunk.length;
      this.#owned = false;
      return;
    }
    // Doubling keeps a frame that arrives byte by byte linear. A new buffer, because messages that
    // were handed out share the memory of the old one.
    const needed = held + chunk.length;
    const grown = this.#owned && this.#buffer.length - this.#end >= chunk.length;
    if (!grown) {
      const larger = new Uint8Array(
        Math.max(needed, Math.min(held * 2, this.#limits.maxMessageSize + LONGEST_HEAD)),
      );
      larger.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = larger;
      this.#start = 0;
      this.#end = held;
      this.#owned = true;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The next whole message, or undefined when more bytes are needed. Throws as `decodeTcpFrame`. */
  next(): CoapMessage | undefined {
    const head = readHead(this.#buffer, this.#start, this.#end, this.#limits.maxMessageSize);
    if (head === undefined || this.pending < head.total) {
      this.#release();
      return undefined;
    }
    const frame = this.#buffer.subarray(this.#start, this.#start + head.total);
    this.#start += head.total;
    return readFrame(frame, head, this.#limits);
  }

  /** A chunk belongs to the caller and may be large: keep a copy of the incomplete rest only. */
  #release(): void {
    if (this.#owned && this.pending > 0) return;
    this.#buffer = this.#buffer.slice(this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    this.#owned = this.pending > 0;
  }
}

interface FrameHead {
  tokenLength: number;
  /** Where the code is, from the frame's start. */
  codeAt: number;
  /** Bytes of the whole frame. */
  total: number;
}

/** Reads what comes before the code; undefined when it is not all there. */
function readHead(
  bytes: Uint8Array,
  start: number,
  end: number,
  maxMessageSize: number,
): FrameHead | undefined {
  if (start >= end) return undefined;
  const first = bytes[start] as number;
  const tokenLength = first & 0x0f;
  if (tokenLength > 8) throw malformed(`token length ${tokenLength} is reserved`);
  const nibble = first >> 4;
  const extended = nibble === 13 ? 1 : nibble === 14 ? 2 : nibble === 15 ? 4 : 0;
  if (end - start < 1 + extended) return undefined;
  let length = nibble;
  if (extended > 0) {
    let value = 0;
    for (let i = 0; i < extended; i++) value = value * 256 + (bytes[start + 1 + i] as number);
    length = value + (extended === 1 ? 13 : extended === 2 ? 269 : 65805);
  }
  const total = 2 + extended + tokenLength + length;
  if (total > maxMessageSize) {
    throw new CoapError(
      'coap/message-too-large',
      `the peer sends a message of ${total} bytes; this end takes ${maxMessageSize}`,
      { details: { size: total, limit: maxMessageSize } },
    );
  }
  return { tokenLength, codeAt: 1 + extended, total };
}

function readFrame(frame: Uint8Array, head: FrameHead, limits: MessageLimits): CoapMessage {
  const tokenAt = head.codeAt + 1;
  const bodyAt = tokenAt + head.tokenLength;
  const { options, payload } = readBody(frame, bodyAt, limits.maxOptions);
  return { code: frame[head.codeAt] as number, token: frame.subarray(tokenAt, bodyAt), options, payload };
}

function extendedLengthSize(length: number): number {
  return length < 13 ? 0 : length < 269 ? 1 : length < 65805 ? 2 : 4;
}
