// SPDX-License-Identifier: Apache-2.0
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MblError } from '@mbl/trust';
import { sha256File } from '../debian/downloads.ts';
import { paddingAfter, plainHeader } from '@mbl/blocks';
import {
  type ArchivedFile,
  type ArchiveManifest,
  archiveInvalid,
  archivePath,
  LARGEST_MANIFEST,
  MANIFEST,
  parseArchiveManifest,
} from './manifest.ts';

const BLOCK = 512;

/** An open archive. Nothing in it decides a path on this machine: files are known by their content. */
export interface Archive extends AsyncDisposable {
  readonly path: string;
  readonly manifest: ArchiveManifest;
  /** Puts a file to `target`, unless it is there already. Throws `builder/archive-invalid` when its content is another. */
  extract(file: ArchivedFile, target: string, signal?: AbortSignal): Promise<void>;
}

/**
 * Opens an archive that nobody vouches for. It must be what `writeArchive` would write for its manifest, byte for byte but for the files'
 * contents, which `extract` checks. Throws `builder/archive-invalid`.
 */
export async function openArchive(path: string): Promise<Archive> {
  const file = await open(path).catch((cause: unknown) => {
    throw archiveInvalid(path, 'it cannot be opened', cause);
  });
  try {
    const { manifest, offsets } = await readLayout(file, path);
    return {
      path,
      manifest,
      extract: async (wanted, target, signal) => {
        const offset = offsets.get(archivePath(wanted));
        if (offset === undefined) throw archiveInvalid(path, `it has no ${wanted.name}`);
        await extractTo(file, offset, wanted, target, path, signal);
      },
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readLayout(
  file: FileHandle,
  path: string,
): Promise<{ manifest: ArchiveManifest; offsets: Map<string, number> }> {
  const info = await file.stat();
  if (!info.isFile()) throw archiveInvalid(path, 'it is not a file');
  const first = await readAt(file, 0, BLOCK);
  const size = Number.parseInt(first.toString('latin1', 124, 135), 8);
  if (!(size > 0 && size <= LARGEST_MANIFEST) || !first.equals(plainHeader(MANIFEST, size)))
    throw archiveInvalid(path, 'it does not start with a manifest');
  const manifest = parseArchiveManifest(await readAt(file, BLOCK, size), path);
  const offsets = new Map<string, number>();
  let offset = BLOCK + size + paddingAfter(size);
  for (const each of manifest.files) {
    const place = archivePath(each);
    if (offsets.has(place)) throw archiveInvalid(path, `it lists ${each.name} twice`);
    if (!(await readAt(file, offset, BLOCK)).equals(plainHeader(place, each.size)))
      throw archiveInvalid(path, `${each.name} is not where its manifest says`);
    offsets.set(place, offset + BLOCK);
    offset += BLOCK + each.size + paddingAfter(each.size);
  }
  if (info.size !== offset + 2 * BLOCK)
    throw archiveInvalid(path, 'it is cut off, or something follows its end');
  return { manifest, offsets };
}

async function extractTo(
  file: FileHandle,
  start: number,
  wanted: ArchivedFile,
  target: string,
  path: string,
  signal?: AbortSignal,
): Promise<void> {
  if ((await sha256File(target).catch(() => undefined)) === wanted.sha256) return;
  await mkdir(dirname(target), { recursive: true });
  const part = `${target}.${randomUUID()}.part`;
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  try {
    if (wanted.size === 0) await (await open(part, 'wx')).close();
    else
      await pipeline(
        // By its number: a stream of the handle itself leaves a listener on it, and there are hundreds of files.
        createReadStream(path, {
          fd: file.fd,
          start,
          end: start + wanted.size - 1,
          autoClose: false,
          highWaterMark: 1 << 20,
        }),
        hashing,
        createWriteStream(part, { flags: 'wx' }),
        ...(signal === undefined ? [] : [{ signal }]),
      );
    if (hash.digest('hex') !== wanted.sha256)
      throw new MblError(
        'builder/archive-invalid',
        `The archive ${path} holds ${wanted.name} with another content than its manifest says.`,
        {
          remedy: 'Take another copy of the archive.',
        },
      );
    await rename(part, target);
  } finally {
    await rm(part, { force: true });
  }
}

/** Less than asked for at the end of the file. */
async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}
