// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { maxDataBlocks } from '../groups.ts';
import { VarintReader, VarintWriter } from '../varints.ts';
import { packFrame, unpackFrame } from '../zstd.ts';

/** Blocks that a target has in common with one source, one behind the other in both. */
export interface CopyRun {
  /** Block of the target. */
  readonly target: number;
  /** Block of the source. */
  readonly source: number;
  readonly blocks: number;
}

/** What of a target a source has; the runs are in the order of the target and do not overlap there. */
export interface CopyMap {
  /** Root hashes, 64 hex digits: of what is made, and of what it is made from. */
  readonly target: string;
  readonly source: string;
  readonly runs: readonly CopyRun[];
}

const magic = 'MBLcopy1';
const headerSize = 8 + 32 + 32 + 4;
/** A map of more bytes is refused: the digests of all blocks cost less. */
export const maxCopyMapSize = 2 ** 20;

/**
 * Bytes of a copy map: magic, both root hashes, the size of what follows when unpacked (4 bytes, little-endian), then a zstd frame of the runs: for each the
 * target's blocks between it and the one before, its blocks, and how far its source is from where the one before would lead (zigzag),
 * as LEB128.
 */
export async function formatCopyMap({ target, source, runs }: CopyMap): Promise<Buffer> {
  const writer = new VarintWriter();
  let end = 0;
  let expected = 0;
  for (const run of runs) {
    writer.write(run.target - end);
    writer.write(run.blocks);
    const shift = run.source - (expected + run.target - end);
    writer.write(shift < 0 ? -2 * shift - 1 : 2 * shift);
    end = run.target + run.blocks;
    expected = run.source + run.blocks;
  }
  const body = writer.finish();
  const header = Buffer.alloc(headerSize);
  header.write(magic, 'latin1');
  header.write(target, 8, 'hex');
  header.write(source, 40, 'hex');
  header.writeUInt32LE(body.length, 72);
  return Buffer.concat([header, await packFrame(body)]);
}

/**
 * Reads a map for that target. Nobody vouches for it: a wrong one costs time and is found out, since every group of blocks is checked. Throws
 * `blocks/bad-copy-map`.
 */
export function parseCopyMap(bytes: Uint8Array, target: string, dataBlocks: number): CopyMap {
  const header = Buffer.from(bytes.subarray(0, headerSize));
  if (
    bytes.length > maxCopyMapSize ||
    header.length < headerSize ||
    header.toString('latin1', 0, 8) !== magic ||
    header.toString('hex', 8, 40) !== target
  )
    throw badMap('is none, or one for another image');
  const size = header.readUInt32LE(72);
  // A run has a block at least; its three numbers take three bytes at least and fifteen at most.
  const body = size <= 15 * dataBlocks ? unpackFrame(bytes.subarray(headerSize), size) : undefined;
  if (body === undefined) throw badMap('is cut off or too long');
  const reader = new VarintReader(body);
  const runs: CopyRun[] = [];
  let end = 0;
  let expected = 0;
  while (!reader.done) {
    const [gap, blocks, zigzag] = [reader.read(), reader.read(), reader.read()];
    if (gap === undefined || blocks === undefined || zigzag === undefined) throw badMap('breaks off');
    const start = end + gap;
    const shift = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    const from = expected + gap + shift;
    if (blocks === 0 || start + blocks > dataBlocks || from < 0 || from + blocks > maxDataBlocks)
      throw badMap('leads out of an image');
    runs.push({ target: start, source: from, blocks });
    end = start + blocks;
    expected = from + blocks;
  }
  return { target, source: header.toString('hex', 40, 72), runs };
}

function badMap(what: string): MblError {
  return new MblError('blocks/bad-copy-map', `The copy map ${what}.`, {
    remedy: 'Publish the release again; devices do without the map meanwhile.',
  });
}
