// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { MblError } from '@mbl/trust';
import { paddingAfter, plainHeader } from '@mbl/blocks';
import {
  type ArchivedFile,
  type ArchiveManifest,
  archivePath,
  formatArchiveManifest,
  MANIFEST,
  sortFiles,
} from './manifest.ts';

/** A file to put into an archive, and where it is now. */
export interface FileToArchive extends ArchivedFile {
  /** Absolute path. */
  readonly from: string;
}

/** Throws `builder/archive-unwritable` when something stands at `path` that an archive must not replace: a folder, a device. */
export async function checkArchiveTarget(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  throw new MblError('builder/archive-unwritable', `The archive cannot be written: ${path} is not a file.`, {
    remedy: 'Name a new file after --archive, such as --archive release.mbl.',
  });
}

/**
 * Writes an archive: a tar of the manifest and all files, sorted, with neither times nor owners, so that the same content gives the same
 * bytes. It appears at `path` whole, or not at all. Returns its size in bytes. Throws what
 * `checkArchiveTarget` throws.
 */
export async function writeArchive(
  path: string,
  manifest: Omit<ArchiveManifest, 'files'>,
  files: readonly FileToArchive[],
  signal?: AbortSignal,
): Promise<number> {
  await checkArchiveTarget(path);
  const places = new Map(files.map((file) => [archivePath(file), file.from]));
  const text = Buffer.from(formatArchiveManifest({ ...manifest, files }));
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await using target = await open(temporary, 'wx');
    await target.writeFile(
      Buffer.concat([plainHeader(MANIFEST, text.length), text, Buffer.alloc(paddingAfter(text.length))]),
    );
    for (const file of sortFiles(files)) {
      const place = archivePath(file);
      await target.writeFile(plainHeader(place, file.size));
      await target.writeFile(createReadStream(places.get(place) ?? '', { signal, highWaterMark: 1 << 20 }));
      await target.writeFile(Buffer.alloc(paddingAfter(file.size)));
    }
    await target.writeFile(Buffer.alloc(1024));
    await target.sync();
    const { size } = await target.stat();
    await rename(temporary, path);
    return size;
  } finally {
    await rm(temporary, { force: true });
  }
}
