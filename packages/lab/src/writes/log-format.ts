// SPDX-License-Identifier: Apache-2.0
import { crc32 } from 'node:zlib';
import { MblError } from '@mbl/trust';

/** What a board writes to, in the numbers of the log. */
export const media = ['disk', 'flash'] as const;
export type Medium = (typeof media)[number];

/** What the guest asked for. `discard` gives a range up, `zero` fills it; here both read as zeros afterwards. */
export const operations = ['write', 'zero', 'discard', 'flush'] as const;
export type Operation = (typeof operations)[number];

/**
 * One record of a write log. A request has two: `issued` when it came, with its data when it is a write, before anything is done for it;
 * `completed` when it was done, before its answer was sent. The order of the records is the order of these events.
 */
export interface LogRecord {
  readonly event: 'issued' | 'completed';
  readonly medium: Medium;
  readonly operation: Operation;
  /** Force unit access: on the medium when it is completed. */
  readonly forced: boolean;
  /** The request's number in this log; both of its records have it. */
  readonly request: number;
  /** Microseconds since 1970, by the host's clock. */
  readonly time: bigint;
  /** Bytes of the medium; 0 and 0 for a flush. */
  readonly offset: number;
  readonly length: number;
}

/** The log's first bytes. */
export const logMagic = Buffer.from('MBL write log 1\n', 'latin1');
export const recordLength = 40;
/** NBD's largest payload that needs no agreement (NBD protocol, "Block size constraints"), and so a record's. */
export const maximumData = 32 * 1024 * 1024;

const forcedFlag = 1;
const completedFlag = 2;

/**
 * A record's head: CRC-32 of all that follows with the data, then what it is, little-endian. The data of an issued write follow in the log.
 */
export function encodeRecord(record: LogRecord, data?: Uint8Array): Buffer {
  const head = Buffer.alloc(recordLength);
  head.writeUInt8((record.forced ? forcedFlag : 0) | (record.event === 'completed' ? completedFlag : 0), 4);
  head.writeUInt8(operations.indexOf(record.operation), 5);
  head.writeUInt8(media.indexOf(record.medium), 6);
  head.writeUInt32LE(record.request, 8);
  head.writeBigUInt64LE(record.time, 16);
  head.writeBigUInt64LE(BigInt(record.offset), 24);
  head.writeBigUInt64LE(BigInt(record.length), 32);
  head.writeUInt32LE(checksum(head, data), 0);
  return head;
}

/** The CRC-32 that a record's head has to show. */
export function checksum(head: Uint8Array, data: Uint8Array = Buffer.alloc(0)): number {
  return crc32(data, crc32(head.subarray(4, recordLength)));
}

/** How many bytes of data follow a record's head. */
export function dataLength({ event, operation, length }: LogRecord): number {
  return event === 'issued' && operation === 'write' ? length : 0;
}

/** Parses a record's head; the checksum is the caller's to compare. Undefined: no record looks so. */
export function parseRecord(head: Uint8Array): LogRecord | undefined {
  if (head.length < recordLength) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, recordLength);
  const flags = view.getUint8(4);
  const operation = operations[view.getUint8(5)];
  const medium = media[view.getUint8(6)];
  const offset = view.getBigUint64(24, true);
  const length = view.getBigUint64(32, true);
  if (operation === undefined || medium === undefined) return undefined;
  if (flags > (forcedFlag | completedFlag) || view.getUint8(7) !== 0 || view.getUint32(12, true) !== 0) {
    return undefined;
  }
  if (offset + length > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  if (operation === 'write' && length > BigInt(maximumData)) return undefined;
  if (operation === 'flush' && offset + length > 0n) return undefined;
  return {
    event: (flags & completedFlag) === 0 ? 'issued' : 'completed',
    medium,
    operation,
    forced: (flags & forcedFlag) !== 0,
    request: view.getUint32(8, true),
    time: view.getBigUint64(16, true),
    offset: Number(offset),
    length: Number(length),
  };
}

/** The error of a log that nobody can have written so. */
export function invalidLog(what: string): MblError {
  return new MblError('lab/write-log-invalid', `The write log ${what}.`, {
    remedy: 'Record the run again.',
  });
}
