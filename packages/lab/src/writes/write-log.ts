// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises';
import {
  checksum,
  dataLength,
  invalidLog,
  type LogRecord,
  logMagic,
  type Medium,
  type Operation,
  parseRecord,
  recordLength,
} from './log-format.ts';

/** A request of the guest, as its board's media saw it. Positions count the log's records: a smaller one was earlier. */
export interface LoggedRequest {
  /** The order of issue, from 0. */
  readonly id: number;
  readonly medium: Medium;
  readonly operation: Operation;
  readonly forced: boolean;
  /** Bytes of the medium. */
  readonly offset: number;
  readonly length: number;
  readonly issued: number;
  /** Undefined: the power went before, so it may be on the medium or not. */
  readonly completed: number | undefined;
  /** Where the data of a write lie in the log. */
  readonly dataOffset: number;
}

export interface WriteLog {
  readonly path: string;
  /** By `id`. */
  readonly requests: readonly LoggedRequest[];
  /** How many records the log holds. */
  readonly records: number;
  /** When each record was written, in milliseconds since 1970; they never go back. */
  readonly times: readonly number[];
  /** True: bytes follow that are no whole record. The recorder was killed while it wrote them, and they count for nothing. */
  readonly cut: boolean;
}

const maximumRecords = 8 * 1024 * 1024;
const windowLength = 1024 * 1024;

/** Reads a log; the data stay in the file. What is no whole, true record ends it. Error: `lab/write-log-invalid`. */
export async function readWriteLog(path: string): Promise<WriteLog> {
  await using file = await open(path);
  const window = new Window(file);
  const start = await window.take(logMagic.length);
  if (!start.equals(logMagic.subarray(0, start.length))) throw invalidLog('does not start as one');
  const requests: (LoggedRequest & { completed: number | undefined })[] = [];
  const times: number[] = [];
  let cut = start.length < logMagic.length && start.length > 0;
  for (;;) {
    const position = window.position;
    const head = await window.take(recordLength);
    if (head.length === 0) break;
    const record = parseRecord(head);
    const data = record === undefined ? undefined : await window.take(dataLength(record));
    if (record === undefined || data === undefined || !isWhole(record, head, data)) {
      cut = true;
      break;
    }
    if (times.length === maximumRecords) throw invalidLog(`has more than ${maximumRecords} records`);
    if (record.event === 'completed') {
      const request = requests[record.request];
      if (request === undefined || request.completed !== undefined) {
        throw invalidLog(`completes a request that is not under way: ${record.request}`);
      }
      request.completed = times.length;
    } else {
      if (record.request !== requests.length) throw invalidLog(`lacks the request ${requests.length}`);
      requests.push({
        id: record.request,
        medium: record.medium,
        operation: record.operation,
        forced: record.forced,
        offset: record.offset,
        length: record.length,
        issued: times.length,
        completed: undefined,
        dataOffset: position + recordLength,
      });
    }
    // A host's clock that is set back does not turn the order round.
    times.push(Math.max(Number(record.time) / 1000, times.at(-1) ?? 0));
  }
  return { path, requests, records: times.length, times, cut };
}

function isWhole(record: LogRecord, head: Buffer, data: Buffer): boolean {
  return data.length === dataLength(record) && head.readUInt32LE(0) === checksum(head, data);
}

/**
 * The writes that a flush made durable: those of its medium that were completed before it was issued. What completed while it ran may have
 * come too late for it.
 */
export function coveredBy(log: WriteLog, flush: LoggedRequest): LoggedRequest[] {
  return log.requests.filter(
    ({ medium, operation, completed }) =>
      medium === flush.medium && operation !== 'flush' && completed !== undefined && completed < flush.issued,
  );
}

/** The log's first position that was recorded after `time`; `records` when there is none. */
export function positionAt(log: WriteLog, time: Date): number {
  const found = log.times.findIndex((recorded) => recorded > time.getTime());
  return found === -1 ? log.records : found;
}

/** Reads a file from its start, a piece at a time, without a system call for each. */
class Window {
  readonly #file: FileHandle;
  #bytes: Buffer = Buffer.alloc(0);
  /** Of the next byte to take. */
  position = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** The next bytes; fewer at the file's end. */
  async take(length: number): Promise<Buffer> {
    while (this.#bytes.length < length) {
      const more = Buffer.allocUnsafe(Math.max(windowLength, length - this.#bytes.length));
      const { bytesRead } = await this.#file.read(more, 0, more.length, this.position + this.#bytes.length);
      if (bytesRead === 0) break;
      this.#bytes = Buffer.concat([this.#bytes, more.subarray(0, bytesRead)]);
    }
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(taken.length);
    this.position += taken.length;
    return taken;
  }
}
