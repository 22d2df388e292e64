// SPDX-License-Identifier: Apache-2.0
import { tarBlock, tarNumber } from '@mbl/blocks';
import { badImage } from '../errors.ts';
import type { ByteReader } from './byte-reader.ts';

/** A sparse file of GNU tar ("Storing Sparse Files"): its size with all holes, and the pieces that the archive has. */
export interface SparseMap {
  readonly size: number;
  readonly pieces: readonly (readonly [offset: number, size: number])[];
}

const mostPieces = 100_000;

/** The old GNU format: four pieces in the header, 21 in each block that follows while the last one says so. */
export async function readOldSparse(header: Buffer, reader: ByteReader): Promise<SparseMap> {
  const numbers = take(header, 386, 4);
  const size = tarNumber(header, 483, 12);
  for (let more = header[482] !== 0; more; ) {
    const block = await reader.read(tarBlock);
    if (block.length < tarBlock) throw badImage('a layer ends within a sparse file');
    numbers.push(...take(block, 0, 21));
    more = block[504] !== 0;
    if (numbers.length > 2 * mostPieces) throw wrong();
  }
  return mapOf(size, numbers);
}

/** The formats 0.0 and 0.1: numbers in pax records. */
export function readPaxSparse(size: number, numbers: readonly number[]): SparseMap {
  return mapOf(size, numbers);
}

/** The format 1.0: decimal lines before the data, up to a whole block. Gives how many bytes of the data they took. */
export async function readNewSparse(
  size: number,
  reader: ByteReader,
  stored: number,
): Promise<{ map: SparseMap; taken: number }> {
  let taken = 0;
  let text = '';
  const more = async () => {
    if (taken + tarBlock > stored) throw wrong();
    text += (await reader.read(tarBlock)).toString('latin1');
    taken += tarBlock;
  };
  const numbers: number[] = [];
  let count: number | undefined;
  while (count === undefined || numbers.length < 2 * count) {
    const end = text.indexOf('\n');
    if (end < 0) {
      if (text.length > 2 * tarBlock) throw wrong();
      await more();
      continue;
    }
    const line = text.slice(0, end);
    text = text.slice(end + 1);
    if (!/^\d{1,15}$/.test(line)) throw wrong();
    if (count === undefined) count = Number(line);
    else numbers.push(Number(line));
    if (count > mostPieces) throw wrong();
  }
  return { map: mapOf(size, numbers), taken };
}

function take(block: Buffer, at: number, count: number): number[] {
  const numbers: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const place = at + i * 24;
    if (block[place] === 0) break;
    numbers.push(tarNumber(block, place, 12), tarNumber(block, place + 12, 12));
  }
  return numbers;
}

/** Pieces in their order, none over another, all within the size. */
function mapOf(size: number, numbers: readonly number[]): SparseMap {
  if (!Number.isSafeInteger(size) || numbers.length % 2 !== 0) throw wrong();
  const pieces: [number, number][] = [];
  let end = 0;
  for (let i = 0; i < numbers.length; i += 2) {
    const [offset = 0, length = 0] = [numbers[i], numbers[i + 1]];
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < end) throw wrong();
    end = offset + length;
    if (end > size) throw wrong();
    if (length > 0) pieces.push([offset, length]);
  }
  return { size, pieces };
}

function wrong(): Error {
  return badImage('the map of a sparse file is wrong');
}
