// SPDX-License-Identifier: Apache-2.0
import { pipeline, Readable } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import type { BlockSource } from '../devices.ts';
import { BLOCK_SIZE, FANOUT } from '../layout.ts';
import { releaseLevel } from '../zstd.ts';

/** How far back a stream reaches: 8 MiB, which a device keeps in its memory while it reads one. */
const windowLog = 23;

/**
 * Makes the stream of an image: all its data in one zstd frame (RFC 8878), for a device that has so little of it that frames of their own, which can be
 * entered anywhere, would cost it more. Nobody signs it: each group of blocks that comes out is checked. Returns its bytes.
 */
export async function writeStream(
  image: BlockSource,
  write: (piece: Uint8Array) => Promise<void>,
  { level = releaseLevel, signal }: { readonly level?: number; readonly signal: AbortSignal },
): Promise<number> {
  const packer = createZstdCompress({
    pledgedSrcSize: image.blocks * BLOCK_SIZE,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_checksumFlag]: 0,
      [constants.ZSTD_c_contentSizeFlag]: 0,
    },
  });
  const groups = async function* read(): AsyncGenerator<Buffer> {
    for (let first = 0; first < image.blocks; first += FANOUT) {
      const data = Buffer.alloc(Math.min(FANOUT, image.blocks - first) * BLOCK_SIZE);
      await image.read(first, data, signal);
      yield data;
    }
  };
  let size = 0;
  // What fails there fails here, too: the packed pieces end with its error.
  pipeline(Readable.from(groups()), packer, () => undefined);
  for await (const piece of packer as AsyncIterable<Buffer>) {
    size += piece.length;
    await write(piece);
  }
  return size;
}

/** The data that pieces of a stream unpack to, in pieces of any size. Throws what zlib says of bytes that are no stream, and what `pieces` throws. */
export function unpackStream(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Buffer> {
  const unpacker = createZstdDecompress({
    params: { [constants.ZSTD_d_windowLogMax]: windowLog },
  });
  pipeline(Readable.from(pieces), unpacker, () => undefined);
  return unpacker as AsyncIterable<Buffer>;
}
