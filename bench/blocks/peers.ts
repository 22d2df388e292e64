// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOCK_SIZE, DIGEST_SIZE } from '@mbl/blocks';
import { run } from '../support.ts';
import type { Root } from './images.ts';

/** The image as one zstd stream. */
export async function fullSize({ path }: Root, work: string): Promise<number> {
  const packed = join(work, 'full.zst');
  await run('zstd', ['-19', '-q', '-f', path, '-o', packed]);
  return (await stat(packed)).size;
}

/**
 * What RAUC's adaptive method `block-hash-index` fetches: the index, a SHA-256 for each 4 KiB of the image, and the blocks that no slot has, as
 * they are (RAUC's manual, "Adaptive Updates"). Its requests are not counted.
 */
export async function raucSize(from: Root, to: Root): Promise<number> {
  const have = new Set<string>();
  for await (const digest of digests(from.path)) have.add(digest);
  let missing = 0;
  for await (const digest of digests(to.path)) if (!have.has(digest)) missing += 1;
  return to.dataBlocks * DIGEST_SIZE + missing * BLOCK_SIZE;
}

async function* digests(path: string): AsyncGenerator<string> {
  await using file = await open(path);
  const piece = Buffer.alloc(256 * BLOCK_SIZE);
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(piece, 0, piece.length, position);
    if (bytesRead === 0) return;
    for (let at = 0; at < bytesRead; at += BLOCK_SIZE)
      yield createHash('sha256')
        .update(piece.subarray(at, at + BLOCK_SIZE))
        .digest('base64');
    position += bytesRead;
  }
}

/** What casync fetches: its index and the chunks (of 64 KiB on average, compressed) that the old image has not. Undefined where it is not installed. */
export async function casyncSize(from: Root, to: Root, work: string): Promise<number | undefined> {
  const chunks = async (root: Root, name: string): Promise<Map<string, number>> => {
    const store = join(work, `${name}.castr`);
    await mkdir(store, { recursive: true });
    await run('casync', [
      'make',
      `--store=${store}`,
      '--chunk-size=65536',
      join(work, `${name}.caibx`),
      root.path,
    ]);
    const found = new Map<string, number>();
    for (const file of await readdir(store, { recursive: true }))
      if (file.endsWith('.cacnk')) found.set(file, (await stat(join(store, file))).size);
    return found;
  };
  if (
    !(await run('casync', ['--version']).then(
      () => true,
      () => false,
    ))
  )
    return undefined;
  const [old, next] = [await chunks(from, 'old'), await chunks(to, 'new')];
  const index = (await stat(join(work, 'new.caibx'))).size;
  return [...next].reduce((sum, [name, size]) => sum + (old.has(name) ? 0 : size), index);
}
