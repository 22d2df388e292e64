// SPDX-License-Identifier: Apache-2.0
import { createHash, type Hash } from 'node:crypto';
import { MblError } from '@mbl/trust';
import { badImage } from '../errors.ts';
import { decompress } from '../layers/decompress.ts';
import type { Limits } from '../limits.ts';
import type { ImageFile } from './files.ts';

/** A layer of an image: reading it to its end makes sure of it. */
export interface Layer {
  /** The tar archive, decompressed. Throws `apps/wrong-content` at the end when it is not what the image names. */
  read(): AsyncIterable<Buffer>;
}

interface Expected {
  /** SHA-256 of the file, where the image names it by its content. */
  readonly blob: string | undefined;
  /** SHA-256 of what is in it, decompressed; undefined where no configuration says it. */
  readonly content: string | undefined;
}

/** A layer in a file of an image. */
export function layerOf(file: ImageFile, name: string, expected: Expected, limits: Limits): Layer {
  return {
    async *read() {
      const outer = createHash('sha256');
      const inner = createHash('sha256');
      const source = async function* source() {
        for await (const piece of file.read()) {
          outer.update(piece);
          yield piece;
        }
      };
      for await (const piece of decompress(source(), limits)) {
        inner.update(piece);
        yield piece;
      }
      check(outer, expected.blob, name);
      check(inner, expected.content, name);
    },
  };
}

/** A small file as a whole, held against its digest where there is one. */
export async function readWhole(
  file: ImageFile | undefined,
  name: string,
  sha256: string | undefined,
  limits: Limits,
): Promise<Buffer> {
  if (file === undefined) throw badImage(`it has no ${name}`);
  if (file.size > limits.document) throw badImage(`${name} is longer than ${limits.document} bytes`);
  const pieces: Buffer[] = [];
  for await (const piece of file.read()) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  check(createHash('sha256').update(bytes), sha256, name);
  return bytes;
}

function check(hash: Hash, expected: string | undefined, name: string): void {
  if (expected === undefined) return;
  const found = hash.digest('hex');
  if (found !== expected)
    throw new MblError(
      'apps/wrong-content',
      `${name} of the image is not what the image names: it has the digest ${found}, not ${expected}.`,
      { remedy: 'Take another copy of the image, or make it again.', details: { name, found, expected } },
    );
}
