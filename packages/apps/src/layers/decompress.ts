// SPDX-License-Identifier: Apache-2.0
import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { badImage, tooLarge } from '../errors.ts';
import type { Limits } from '../limits.ts';

/**
 * The bytes of a layer, decompressed: gzip, zstd or as they are, by their first bytes, whatever the media type says. Throws
 * `apps/bad-image` and, for what grows beyond `limits`, `apps/too-large`.
 */
export async function* decompress(source: AsyncIterable<Buffer>, limits: Limits): AsyncGenerator<Buffer> {
  let taken = 0;
  const counted = async function* counted() {
    for await (const piece of source) {
      taken += piece.length;
      yield piece;
    }
  };
  const input = counted();
  const first = await firstBytes(input);
  const whole = joined(first, input);
  const kind = kindOf(first);
  if (kind === undefined) {
    yield* whole;
    return;
  }
  const inflater = kind === 'gzip' ? createGunzip() : createZstdDecompress();
  const compressed = Readable.from(whole, { objectMode: false });
  compressed.once('error', (error) => inflater.destroy(error));
  compressed.pipe(inflater);
  let given = 0;
  try {
    for await (const piece of inflater) {
      given += (piece as Buffer).length;
      if (given > limits.ratioFrom && given > taken * limits.ratio)
        throw tooLarge(`a layer grows to more than ${limits.ratio} times its size`);
      yield piece as Buffer;
    }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    if (/^(?:Z_|ERR_ZLIB|ZSTD_|ERR_ZSTD)/.test(code))
      throw badImage(`a layer is no whole ${kind} stream`, cause);
    throw cause;
  } finally {
    compressed.destroy();
    inflater.destroy();
  }
}

/** gzip: RFC 1952 §2.3.1. Zstandard: RFC 8878 §3.1.1. */
export function kindOf(first: Buffer): 'gzip' | 'zstd' | undefined {
  if (first.length >= 2 && first.readUInt16BE(0) === 0x1f8b) return 'gzip';
  return first.length >= 4 && first.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : undefined;
}

async function firstBytes(input: AsyncGenerator<Buffer>): Promise<Buffer> {
  let first: Buffer = Buffer.alloc(0);
  while (first.length < 4) {
    const { done, value } = await input.next();
    if (done === true) break;
    first = Buffer.concat([first, value]);
  }
  return first;
}

async function* joined(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (first.length > 0) yield first;
  yield* rest;
}
