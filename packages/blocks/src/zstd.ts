// SPDX-License-Identifier: Apache-2.0
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompressSync } from 'node:zlib';

const compress = promisify(zstdCompress);

/** The level of what is compressed once and read by a fleet. */
export const releaseLevel = 19;

/**
 * One zstd frame (RFC 8878) without checksum and content size, which our digests and sizes make needless. `dictionary`: raw bytes that
 * stand before it, empty for none.
 */
export async function packFrame(
  bytes: Uint8Array,
  dictionary: Uint8Array = new Uint8Array(),
  level: number = releaseLevel,
): Promise<Buffer> {
  return await compress(bytes, {
    ...(dictionary.length > 0 && { dictionary }),
    // Without it zlib makes room for bytes without end: a hundred times slower for small ones.
    pledgedSrcSize: bytes.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_windowLog]: windowLog(bytes.length + dictionary.length),
      [constants.ZSTD_c_checksumFlag]: 0,
      [constants.ZSTD_c_contentSizeFlag]: 0,
    },
  });
}

/** The `size` bytes of a frame; undefined when it is no frame, or one of more or fewer bytes. Needs memory for twice that and the dictionary. */
export function unpackFrame(
  frame: Uint8Array,
  size: number,
  dictionary: Uint8Array = new Uint8Array(),
): Buffer | undefined {
  try {
    const bytes = zstdDecompressSync(frame, {
      ...(dictionary.length > 0 && { dictionary }),
      maxOutputLength: Math.max(size, 1),
      params: { [constants.ZSTD_d_windowLogMax]: windowLog(size + dictionary.length) },
    });
    return bytes.length === size ? bytes : undefined;
  } catch {
    // Whatever zlib says of bytes from outside: they are not the ones that were asked for.
    return undefined;
  }
}

/** The smallest window that reaches over so many bytes; zstd's smallest has 1 KiB. */
function windowLog(bytes: number): number {
  return Math.max(10, Math.ceil(Math.log2(Math.max(bytes, 1))));
}
