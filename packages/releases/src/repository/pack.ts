// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { paddingAfter, plainHeaders, tarEnd } from '@mbl/blocks';
import { MblError } from '@mbl/trust';
import { type ExportOptions, releaseFiles } from './export.ts';
import type { RepositoryState } from './roles.ts';

/** Bytes that are read at once. */
const pieceBytes = 1024 * 1024;

/**
 * Writes one file that has all that a device needs for a published release: a tar archive (POSIX.1-2017, pax) of `release.txt`, which names the release,
 * metadata and the files that the release brings, as a medium has them (docs/decisions/0039). The same release and metadata make the same bytes. Gives
 * their number. Throws `release/unknown-release`, `release/changed` for a file that is not as long as it was, and what `localReleases` throws.
 */
export async function packRelease(
  folder: string,
  state: RepositoryState,
  target: string,
  options: ExportOptions,
): Promise<number> {
  const { brought, maps, metadata } = await releaseFiles(folder, state, options);
  const files = [...metadata, ...maps, ...brought];
  const draft = `${target}.part`;
  try {
    await using file = await open(draft, 'w', 0o644);
    const named = Buffer.from(`${options.name}\n`);
    let size = await write(file, [
      ...plainHeaders('release.txt', named.length),
      named,
      padding(named.length),
    ]);
    for (const [done, path] of files.entries()) {
      options.signal?.throwIfAborted();
      options.onFile?.(path, done, files.length);
      size += await add(file, join(folder, path), path);
    }
    size += await write(file, [tarEnd()]);
    await file.sync();
    await rename(draft, target);
    return size;
  } finally {
    await rm(draft, { force: true });
  }
}

async function add(archive: FileHandle, from: string, path: string): Promise<number> {
  const { size } = await stat(from);
  const head = await write(archive, [...plainHeaders(path, size)]);
  await using source = await open(from, 'r');
  const piece = Buffer.alloc(Math.min(size, pieceBytes));
  let done = 0;
  for (;;) {
    const { bytesRead } = await source.read(piece, 0, piece.length, done);
    done += bytesRead;
    if (bytesRead === 0 || done > size) break;
    await archive.writeFile(piece.subarray(0, bytesRead));
  }
  if (done !== size)
    throw new MblError('release/changed', `${path} changed while it was packed.`, {
      remedy: 'Pack it again.',
    });
  return head + size + (await write(archive, [padding(size)]));
}

function padding(size: number): Buffer {
  return Buffer.alloc(paddingAfter(size));
}

async function write(file: FileHandle, pieces: readonly Buffer[]): Promise<number> {
  const bytes = Buffer.concat(pieces);
  await file.writeFile(bytes);
  return bytes.length;
}
