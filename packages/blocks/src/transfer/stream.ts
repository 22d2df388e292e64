// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { GroupHasher } from '../groups.ts';
import { BLOCK_SIZE, FANOUT } from '../layout.ts';
import type { PayloadIndex } from '../payload/format.ts';
import { unpackStream } from '../payload/stream.ts';
import type { Blame } from './blame.ts';
import { isGroup } from './digests.ts';
import { type Fetcher, RangeStream } from './fetcher.ts';
import { type Range, requestCost } from './plan.ts';

/** All data of an image in one zstd frame, on the mirrors. */
export interface StreamFile {
  readonly file: string;
  /** Bytes. */
  readonly size: number;
}

/** A stream is read from its start to its end: its requests are larger than those for frames. */
const requestSize = 8 * 2 ** 20;
const pieceSize = 64 * 1024;

/** Bytes on the wire, those of the requests included. */
export function streamCost({ size }: StreamFile): number {
  return size + Math.ceil(size / requestSize) * requestCost;
}

/**
 * Reads a stream; each group that comes out and is right goes to `write`, and is done then. Ends early, without an error, where a group is wrong, whose mirror is
 * named, or where no mirror has the stream: the rest is for frames. Throws what fetching and `write` throw.
 */
export async function readStream(
  { file, size }: StreamFile,
  {
    fetcher,
    index,
    hasher,
    blame,
  }: { fetcher: Fetcher; index: PayloadIndex; hasher: GroupHasher; blame: Blame },
  done: Uint8Array,
  write: (group: number, data: Uint8Array) => Promise<void>,
): Promise<void> {
  const ranges: Range[] = [];
  for (let start = 0; start < size; start += requestSize)
    ranges.push({ start, end: Math.min(start + requestSize, size) });
  await using stream = new RangeStream(fetcher, file, ranges);
  const packed = async function* read(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < size; at += pieceSize) yield await stream.read(at, Math.min(at + pieceSize, size));
  };
  const group = Buffer.alloc(FANOUT * BLOCK_SIZE);
  let [number, filled] = [0, 0];
  const wrong = (): void =>
    blame.add(fetcher.mirrors[fetcher.current]?.name ?? '', Math.min(number * FANOUT, index.dataBlocks - 1));
  try {
    for await (const piece of unpackStream(packed())) {
      for (let at = 0; at < piece.length; ) {
        if (number === hasher.groups) return wrong();
        const data = group.subarray(0, hasher.sizeOf(number) * BLOCK_SIZE);
        const taken = piece.subarray(at, at + data.length - filled);
        data.set(taken, filled);
        at += taken.length;
        filled += taken.length;
        if (filled < data.length) continue;
        if (!isGroup(index, hasher, number, hasher.hashBlock(data))) return wrong();
        if (done[number] !== 1) await write(number, data);
        done[number] = 1;
        number += 1;
        filled = 0;
      }
    }
  } catch (error) {
    fetcher.signal.throwIfAborted();
    if (!(error instanceof MblError)) return wrong();
    if (error.code !== 'blocks/no-mirror') throw error;
  }
}
