// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises';
import { MblError } from '@mbl/trust';
import { type LoggedWrite, readWriteLog } from './write-log.ts';

/**
 * What a power cut does to the writes that completed after the last flush, which a disk may still hold in its own memory: all on the
 * medium, none (except forced ones), or those that a function picks.
 */
export type Unflushed = 'kept' | 'lost' | ((write: LoggedWrite, index: number) => boolean);

export interface ReplayOptions {
  /** The power fails after this many entries. */
  readonly count: number;
  /** Default `kept`. */
  readonly unflushed?: Unflushed;
}

/** The entries that are on the medium after a power cut, in the order of their completion. */
export function survivingWrites(writes: readonly LoggedWrite[], options: ReplayOptions): LoggedWrite[] {
  const { count, unflushed = 'kept' } = options;
  if (!Number.isSafeInteger(count) || count < 0 || count > writes.length) {
    throw new MblError('lab/too-few-writes', `The log has ${writes.length} writes, not ${count}.`, {
      remedy: `Name a number from 0 to ${writes.length}.`,
      details: { writes: writes.length, count },
    });
  }
  const prefix = writes.slice(0, count);
  const safe = prefix.findLastIndex((write) => write.flush) + 1;
  return prefix.filter((write, index) => {
    if (index < safe || write.fua || unflushed === 'kept') return true;
    return unflushed === 'lost' ? false : unflushed(write, index);
  });
}

/** Applies a log's surviving entries to a copy of the disk as it was when the log began. */
export async function replayWrites(logPath: string, target: string, options: ReplayOptions): Promise<void> {
  const writes = survivingWrites(await readWriteLog(logPath), options);
  const log = await open(logPath);
  const disk = await open(target, 'r+');
  try {
    const { size } = await disk.stat();
    for (const write of writes) {
      if (write.offset + write.length > size) {
        throw new MblError('lab/write-log-invalid', 'The write log belongs to a larger disk.', {
          remedy: 'Record the run again.',
        });
      }
      await apply(write, log, disk);
    }
    await disk.datasync();
  } finally {
    await log.close();
    await disk.close();
  }
}

async function apply(write: LoggedWrite, log: FileHandle, disk: FileHandle): Promise<void> {
  const buffer = Buffer.alloc(Math.min(write.length, 1024 * 1024));
  for (let done = 0; done < write.length; ) {
    const length = Math.min(buffer.length, write.length - done);
    // A discarded range reads as zeros, as it does on the emulated disk.
    if (!write.discard) await readFully(log, buffer.subarray(0, length), write.dataOffset + done);
    await disk.write(buffer, 0, length, write.offset + done);
    done += length;
  }
}

async function readFully(file: FileHandle, into: Buffer, position: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0)
      throw new MblError('lab/write-log-invalid', 'The write log ends too early.', {
        remedy: 'Record the run again.',
      });
    done += bytesRead;
  }
}
