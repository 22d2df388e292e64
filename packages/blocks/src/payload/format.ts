// SPDX-License-Identifier: Apache-2.0
import { hash } from 'node:crypto';
import { MblError } from '@mbl/trust';
import { GroupHasher } from '../groups.ts';
import { BLOCK_SIZE, DIGEST_SIZE, FANOUT } from '../layout.ts';
import type { VerityDescription } from '../verifier.ts';
import { packFrame, unpackFrame } from '../zstd.ts';

/**
 * A payload as the signed metadata of a release names it. The file is made of frames, the digests of all data blocks (level 0 of the hash tree
 * without its padding) and the index, in this order.
 */
export interface PayloadFile {
  /** Name on a mirror. */
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  /** Bytes of the index, which is the end of the file. */
  readonly indexSize: number;
  /** 64 hex digits, of the index. */
  readonly indexSha256: string;
}

/** Frame `n` has blocks `n * frameBlocks` and on; before it stand, as its dictionary, up to `dictionaryBlocks` blocks of the image. */
export interface Framing {
  /** A divisor of 128, 8 at most: a frame lies in one group. */
  readonly frameBlocks: number;
  /** A multiple of `frameBlocks`, 128 at most. */
  readonly dictionaryBlocks: number;
}

/** What a payload holds and where. */
export interface PayloadIndex extends Framing {
  readonly dataBlocks: number;
  /** Those of all groups, one behind the other; they lead to the root hash. */
  readonly groupDigests: Buffer;
  /** Where each frame ends; one that is as long as its blocks holds them as they are. */
  readonly frameEnds: Uint32Array;
  /** Where the digests of the data blocks begin. */
  readonly digestsAt: number;
}

const magic = 'MBLload1';
const headerSize = 20;
/** A header, 32 bytes a group and 2 a frame of the largest image; a release that says more is refused before a byte is fetched. */
export const maxIndexSize = 2 ** 20;

/** Bytes of an index: 8 of magic, three numbers of 4 bytes (little-endian), then one zstd frame of the digests and of the frames' lengths. */
export async function formatIndex(
  framing: Framing,
  dataBlocks: number,
  groupDigests: Uint8Array,
  lengths: readonly number[],
): Promise<Buffer> {
  const header = Buffer.alloc(headerSize);
  header.write(magic, 'latin1');
  header.writeUInt32LE(framing.frameBlocks, 8);
  header.writeUInt32LE(framing.dictionaryBlocks, 12);
  header.writeUInt32LE(dataBlocks, 16);
  // Low bytes first, then the high ones: these repeat, and compress.
  const parts = [groupDigests, Buffer.from(lengths), Buffer.from(lengths.map((length) => length >> 8))];
  return Buffer.concat([header, await packFrame(Buffer.concat(parts))]);
}

/**
 * Reads the index of the image that `hasher` is of. The release vouches for its bytes; so what is wrong here was wrong when it was made, or
 * comes from a mirror: `blocks/bad-index`.
 */
export function parseIndex(bytes: Uint8Array, payload: PayloadFile, hasher: GroupHasher): PayloadIndex {
  if (bytes.length !== payload.indexSize || hash('sha256', bytes) !== payload.indexSha256)
    throw badIndex('is not the one that the release names');
  const header = Buffer.from(bytes.subarray(0, headerSize));
  if (header.length < headerSize || header.toString('latin1', 0, 8) !== magic)
    throw badIndex('is of an unknown kind');
  const frameBlocks = header.readUInt32LE(8);
  const dictionaryBlocks = header.readUInt32LE(12);
  const { dataBlocks } = hasher.description;
  if (!isFraming({ frameBlocks, dictionaryBlocks }) || header.readUInt32LE(16) !== dataBlocks)
    throw badIndex('is of another image');
  const frames = Math.ceil(dataBlocks / frameBlocks);
  const digestsSize = hasher.groups * DIGEST_SIZE;
  const body = unpackFrame(bytes.subarray(headerSize), digestsSize + 2 * frames);
  if (body === undefined) throw badIndex('is cut off or too long');
  const frameEnds = new Uint32Array(frames);
  let end = 0;
  for (let frame = 0; frame < frames; frame += 1) {
    const length = (body[digestsSize + frame] ?? 0) + ((body[digestsSize + frames + frame] ?? 0) << 8);
    if (length === 0 || length > frameSize({ frameBlocks }, dataBlocks, frame))
      throw badIndex('has a frame of no size');
    end += length;
    frameEnds[frame] = end;
  }
  if (end + dataBlocks * DIGEST_SIZE + payload.indexSize !== payload.size)
    throw badIndex('does not add up to the size of the payload');
  const groupDigests = body.subarray(0, digestsSize);
  hasher.upperLevels(groupDigests);
  return { frameBlocks, dictionaryBlocks, dataBlocks, groupDigests, frameEnds, digestsAt: end };
}

export function isFraming({ frameBlocks, dictionaryBlocks }: Framing): boolean {
  return (
    [1, 2, 4, 8].includes(frameBlocks) &&
    dictionaryBlocks >= 0 &&
    dictionaryBlocks <= FANOUT &&
    dictionaryBlocks % frameBlocks === 0
  );
}

/** Bytes of the blocks of a frame. */
export function frameSize(
  { frameBlocks }: Pick<Framing, 'frameBlocks'>,
  dataBlocks: number,
  frame: number,
): number {
  return Math.min(frameBlocks, dataBlocks - frame * frameBlocks) * BLOCK_SIZE;
}

/** The blocks of a frame; undefined when its bytes are not what made it. `dictionary`: the blocks before it, as many as the framing says. */
export function openFrame(bytes: Uint8Array, size: number, dictionary: Uint8Array): Uint8Array | undefined {
  return bytes.length === size ? bytes : unpackFrame(bytes, size, dictionary);
}

/** Where a frame begins in the payload. */
export function frameStart({ frameEnds }: PayloadIndex, frame: number): number {
  return frame === 0 ? 0 : (frameEnds[frame - 1] ?? 0);
}

/** Throws `blocks/bad-description` for a payload that nobody can have made. */
export function checkPayload(
  { size, indexSize, indexSha256 }: PayloadFile,
  { dataBlocks }: VerityDescription,
): void {
  if (
    !Number.isSafeInteger(size) ||
    !Number.isSafeInteger(indexSize) ||
    indexSize <= headerSize ||
    indexSize > maxIndexSize ||
    size < indexSize + dataBlocks * DIGEST_SIZE ||
    size > indexSize + dataBlocks * (DIGEST_SIZE + BLOCK_SIZE) ||
    size >= 2 ** 32 ||
    !/^[0-9a-f]{64}$/.test(indexSha256)
  )
    throw new MblError('blocks/bad-description', 'The description of the payload is not valid.');
}

function badIndex(what: string): MblError {
  return new MblError('blocks/bad-index', `The index of the payload ${what}.`, {
    remedy: 'Name another mirror, or publish the release again.',
  });
}
