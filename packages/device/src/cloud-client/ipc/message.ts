// SPDX-License-Identifier: Apache-2.0
import { Malformed, Reader, type Variant, Writer } from './wire.ts';

/** D-Bus Specification, "Message Types". */
export const messageType = { call: 1, answer: 2, error: 3, signal: 4 } as const;
const noReplyExpected = 1;

/** What a message says before its body. */
export interface Header {
  readonly type: number;
  readonly wantsReply: boolean;
  readonly serial: number;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly errorName: string;
  readonly replySerial: number;
  readonly sender: string;
  readonly signature: string;
}

/** How long a message is, from its first 16 bytes. */
export interface Frame {
  readonly little: boolean;
  /** Bytes with the padding behind the fields, and of the body. */
  readonly headerLength: number;
  readonly bodyLength: number;
}

export const frameLength = 16;
/** D-Bus Specification, "Message Format". */
const longestMessage = 128 * 1024 * 1024;

/** Throws `Malformed`: then nothing tells where the next message begins. */
export function parseFrame(bytes: Buffer): Frame {
  const order = bytes[0];
  if ((order !== 0x6c && order !== 0x42) || bytes[3] !== 1) throw new Malformed('this is no D-Bus message');
  const little = order === 0x6c;
  const [bodyLength, fields] = little
    ? [bytes.readUInt32LE(4), bytes.readUInt32LE(12)]
    : [bytes.readUInt32BE(4), bytes.readUInt32BE(12)];
  const headerLength = frameLength + Math.ceil(fields / 8) * 8;
  if (headerLength + bodyLength > longestMessage) throw new Malformed('a message is too long');
  return { little, headerLength, bodyLength };
}

/** The fields by their codes (D-Bus Specification, "Header Fields"), and the types that they have. */
const fieldTypes = ['', 'o', 's', 's', 's', 'u', 's', 's', 'g', 'u'] as const;

/** Reads a header of `frame.headerLength` bytes. Throws `Malformed`. */
export function parseHeader(bytes: Buffer, { little }: Frame): Header {
  const reader = new Reader(bytes, little);
  reader.byte();
  const type = reader.byte();
  const flags = reader.byte();
  reader.byte();
  reader.uint32();
  const serial = reader.uint32();
  const fields = new Map<number, unknown>();
  reader.list(8, () => {
    reader.align(8);
    const code = reader.byte();
    const { signature, value } = reader.variant();
    if (fieldTypes[code] !== undefined && fieldTypes[code] !== signature)
      throw new Malformed('a field of the header is of another type');
    fields.set(code, value);
  });
  const text = (code: number) => (fields.get(code) as string | undefined) ?? '';
  return {
    type,
    wantsReply: (flags & noReplyExpected) === 0,
    serial,
    path: text(1),
    interface: text(2),
    member: text(3),
    errorName: text(4),
    replySerial: (fields.get(5) as number | undefined) ?? 0,
    sender: text(7),
    signature: text(8),
  };
}

/** A message to be sent; what is not given is not said. */
export interface Outgoing {
  readonly type: number;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  readonly replySerial?: number;
  readonly destination?: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
}

export function encodeMessage(serial: number, message: Outgoing): Buffer {
  const { type, path, interface: name, member, errorName, replySerial, destination } = message;
  const { signature = '', body = [] } = message;
  const given = [
    undefined,
    path,
    name,
    member,
    errorName,
    replySerial,
    destination,
    undefined,
    signature || undefined,
  ];
  const fields = given.flatMap((value, code): [number, Variant][] =>
    value === undefined ? [] : [[code, { signature: fieldTypes[code] ?? '', value }]],
  );
  const content = new Writer().values(signature, body).bytes;
  const writer = new Writer();
  const flags = type === messageType.call ? 0 : noReplyExpected;
  writer.values('yyyyuua(yv)', [0x6c, type, flags, 1, content.length, serial, fields]);
  writer.align(8);
  writer.raw(content);
  return writer.bytes;
}
