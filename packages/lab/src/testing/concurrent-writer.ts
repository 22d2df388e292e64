// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { epochsOf } from '../writes/epochs.ts';
import type { WriteLog } from '../writes/write-log.ts';
import type { NbdClient } from './nbd-client.ts';

const sectorSize = 512;
const mostSectors = 8;

/** What a writer knows of its writes: the only witness beside the log. Writes are named by their numbers. */
export interface Witness {
  /** By number: where each write that was issued went. */
  readonly issued: { readonly offset: number; readonly length: number }[];
  readonly completed: Set<number>;
  /** Writes that had been seen complete when a flush was issued that was then seen complete. */
  readonly flushed: Set<number>;
  flushes: number;
}

/** Each sector says whose it is: number of the write, place in it, checksum; so no two writes are alike, and none can be half another. */
function content(number: number, length: number): Buffer {
  const data = Buffer.alloc(length, number & 0xff);
  for (let at = 0; at < length; at += sectorSize) {
    data.writeUInt32LE(number, at);
    data.writeUInt32LE(at / sectorSize, at + 4);
    data.writeUInt32LE(crc32(data.subarray(at + 12, at + sectorSize), number + at), at + 8);
  }
  return data;
}

/** Writes and flushes with many requests under way, until the disk is gone. */
export async function writeUntilKilled(
  client: NbdClient,
  writers: number,
  flushers: number,
): Promise<Witness> {
  const witness: Witness = { issued: [], completed: new Set(), flushed: new Set(), flushes: 0 };
  const sectors = client.size / sectorSize;
  const write = async (): Promise<never> => {
    for (;;) {
      const number = witness.issued.length;
      const length = (1 + ((number * 7) % mostSectors)) * sectorSize;
      const offset = ((number * 13) % (sectors - mostSectors)) * sectorSize;
      witness.issued.push({ offset, length });
      await client.write(offset, content(number, length));
      witness.completed.add(number);
    }
  };
  const flush = async (): Promise<never> => {
    for (;;) {
      const before = [...witness.completed];
      await client.flush();
      for (const number of before) witness.flushed.add(number);
      witness.flushes += 1;
      await sleep(1);
    }
  };
  const all = [...Array.from({ length: writers }, write), ...Array.from({ length: flushers }, flush)];
  await Promise.allSettled(all);
  return witness;
}

/** What a log says that is not so. Each list empty: it tells the truth. */
export interface Verdict {
  /** Writes of the log that nobody issued so: positions. */
  readonly phantoms: number[];
  /** Writes that were seen complete and are not so in the log: numbers. */
  readonly lost: number[];
  /** Writes that a completed flush covered, and that are not durable by the log: numbers. */
  readonly notDurable: number[];
}

/** Holds a log against what the writer saw. */
export async function judgeLog(log: WriteLog, witness: Witness): Promise<Verdict> {
  const phantoms: number[] = [];
  const numbers = new Map<number, number>();
  await using file = await open(log.path);
  for (const { id, operation, offset, length, dataOffset, issued } of log.requests) {
    if (operation === 'flush') continue;
    const data = Buffer.alloc(length);
    await file.read(data, 0, length, dataOffset);
    const number = length === 0 ? -1 : data.readUInt32LE(0);
    const wanted = witness.issued[number];
    const known = wanted?.offset === offset && wanted.length === length && !numbers.has(number);
    if (known && operation === 'write' && data.equals(content(number, length))) numbers.set(number, id);
    else phantoms.push(issued);
  }
  const durable = new Set(epochsOf(log, 'disk').flatMap(({ settled }) => settled.map(({ id }) => id)));
  const id = (number: number): number => numbers.get(number) ?? -1;
  return {
    phantoms,
    lost: [...witness.completed].filter((number) => log.requests[id(number)]?.completed === undefined),
    notDurable: [...witness.flushed].filter((number) => !durable.has(id(number))),
  };
}
