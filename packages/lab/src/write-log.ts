// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises';
import { MblError } from '@mbl/trust';

/**
 * One entry of a write log in the order of completion. Offsets and lengths are bytes of the disk; a flush has length 0.
 * Format: dm-log-writes (Linux Documentation/admin-guide/device-mapper/log-writes.rst), written by QEMU's `blklogwrites`.
 */
export interface LoggedWrite {
  readonly offset: number;
  readonly length: number;
  /** All that completed before is on the medium. */
  readonly flush: boolean;
  /** This write itself is on the medium (force unit access). */
  readonly fua: boolean;
  /** The range was given up; it has no data. */
  readonly discard: boolean;
  /** Where the data lie in the log. */
  readonly dataOffset: number;
}

const magic = 0x6a736677736872n;
const superLength = 28;
const entryLength = 32;
const maximumEntries = 4 * 1024 * 1024;
const flag = { flush: 1n, fua: 2n, discard: 4n } as const;
const knownFlags = 15n;

/** The head of a log: how many entries there are, and the unit that all is counted in. */
export interface WriteLogHead {
  readonly entries: number;
  readonly sectorSize: number;
}

/** Parses a log's first bytes; undefined while QEMU has not written them. Throws only `lab/write-log-invalid`. */
export function parseWriteLogHead(bytes: Uint8Array): WriteLogHead | undefined {
  if (bytes.length < superLength) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, superLength);
  if (view.getBigUint64(0, true) !== magic) throw invalid('does not start as one');
  if (view.getBigUint64(8, true) !== 1n) throw invalid('has another version than 1');
  const entries = view.getBigUint64(16, true);
  const sectorSize = view.getUint32(24, true);
  if (entries > BigInt(maximumEntries)) throw invalid(`has more than ${maximumEntries} entries`);
  if (sectorSize < 512 || sectorSize > 65536 || (sectorSize & (sectorSize - 1)) !== 0) {
    throw invalid(`counts in sectors of ${sectorSize} bytes`);
  }
  return { entries: Number(entries), sectorSize };
}

/** Parses one entry's header, which lies at `position` of a log of `size` bytes. */
export function parseWriteLogEntry(
  bytes: Uint8Array,
  position: number,
  size: number,
  sectorSize: number,
): LoggedWrite {
  if (bytes.length < entryLength) throw invalid('ends within an entry');
  const view = new DataView(bytes.buffer, bytes.byteOffset, entryLength);
  const offset = view.getBigUint64(0, true) * BigInt(sectorSize);
  const length = view.getBigUint64(8, true) * BigInt(sectorSize);
  const flags = view.getBigUint64(16, true);
  if (flags > knownFlags) throw invalid(`has flags that nobody knows: ${flags}`);
  if (offset + length > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid('has an entry beyond any disk');
  const discard = (flags & flag.discard) !== 0n;
  const dataOffset = position + sectorSize;
  if (!discard && BigInt(dataOffset) + length > BigInt(size))
    throw invalid('ends within the data of an entry');
  return {
    offset: Number(offset),
    length: Number(length),
    flush: (flags & flag.flush) !== 0n,
    fua: (flags & flag.fua) !== 0n,
    discard,
    dataOffset,
  };
}

/** Reads the headers of all entries; the data stay in the file. */
export async function readWriteLog(path: string): Promise<LoggedWrite[]> {
  const file = await open(path);
  try {
    const head = await readHead(file);
    if (head === undefined) return [];
    const { size } = await file.stat();
    const writes: LoggedWrite[] = [];
    let position = head.sectorSize;
    const buffer = Buffer.alloc(entryLength);
    while (writes.length < head.entries) {
      const { bytesRead } = await file.read(buffer, 0, entryLength, position);
      const write = parseWriteLogEntry(buffer.subarray(0, bytesRead), position, size, head.sectorSize);
      writes.push(write);
      position = write.dataOffset + (write.discard ? 0 : write.length);
    }
    return writes;
  } finally {
    await file.close();
  }
}

/** How many entries a log has by now; it may still grow. */
export async function countWrites(path: string): Promise<number> {
  const file = await open(path);
  try {
    return (await readHead(file))?.entries ?? 0;
  } finally {
    await file.close();
  }
}

async function readHead(file: FileHandle): Promise<WriteLogHead | undefined> {
  const buffer = Buffer.alloc(superLength);
  const { bytesRead } = await file.read(buffer, 0, superLength, 0);
  return parseWriteLogHead(buffer.subarray(0, bytesRead));
}

function invalid(what: string): MblError {
  return new MblError('lab/write-log-invalid', `The write log ${what}.`, {
    remedy: 'Record the run again.',
  });
}
