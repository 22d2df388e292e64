// SPDX-License-Identifier: Apache-2.0
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MblError } from '@mbl/trust';
import { badImage } from '../errors.ts';
import { decompress, kindOf } from '../layers/decompress.ts';
import type { Limits } from '../limits.ts';
import { openDockerArchive } from './docker-archive.ts';
import { emptyConfig, type ImageConfig } from './documents.ts';
import { ArchiveFiles, FolderFiles, type ImageFiles } from './files.ts';
import { type Layer, layerOf } from './layer.ts';
import { openLayout } from './oci-layout.ts';

export type ImageKind = 'OCI layout' | 'archive of docker save' | 'archive of docker export';

/** An image that can be read: its configuration has been, its layers have not. */
export interface OpenedImage extends AsyncDisposable {
  readonly kind: ImageKind;
  /** SHA-256 of the configuration; undefined where there is none. */
  readonly id: string | undefined;
  readonly config: ImageConfig;
  /** The lowest first. */
  readonly layers: readonly Layer[];
}

export interface OpenOptions {
  readonly limits: Limits;
  /** Which of several images: the name that the archive gives it. */
  readonly tag?: string | undefined;
  /** A folder for what has to be unpacked. */
  readonly scratch: string;
}

/**
 * Opens an image by what it is: a folder or an archive in the layout of OCI (image-spec, image-layout.md), an archive of `docker save` in
 * its older or newer form, an archive of `docker export`; each of them also compressed with gzip or zstd. Throws `apps/no-image`,
 * `apps/bad-image`, `apps/wrong-content`, `apps/wrong-architecture`, `apps/which-image`.
 */
export async function openImage(path: string, options: OpenOptions): Promise<OpenedImage> {
  const info = await stat(path).catch((cause: unknown) => {
    throw new MblError('apps/no-image', `There is no image ${path}.`, {
      remedy: 'Name a file that docker save made, or a folder in the layout of OCI.',
      cause,
    });
  });
  if (info.isDirectory()) return await openFiles(new FolderFiles(path), path, options);
  const { archive, dispose } = await plainArchive(path, options);
  try {
    const files = await ArchiveFiles.open(archive, ['index.json', 'manifest.json'], dispose);
    if (files !== undefined) return await openFiles(files, path, options);
    const { size } = await stat(archive);
    const whole = { size, read: () => createReadStream(archive) as AsyncIterable<Buffer> };
    return {
      kind: 'archive of docker export',
      id: undefined,
      config: emptyConfig,
      layers: [layerOf(whole, 'root file system', { blob: undefined, content: undefined }, options.limits)],
      [Symbol.asyncDispose]: dispose,
    };
  } catch (cause) {
    await dispose();
    throw cause;
  }
}

async function openFiles(files: ImageFiles, path: string, options: OpenOptions): Promise<OpenedImage> {
  const index = await files.file('index.json');
  const manifest = index === undefined ? await files.file('manifest.json') : undefined;
  const dispose = () => files[Symbol.asyncDispose]();
  if (index !== undefined)
    return {
      kind: 'OCI layout',
      ...(await openLayout(files, index, options)),
      [Symbol.asyncDispose]: dispose,
    };
  if (manifest !== undefined)
    return {
      kind: 'archive of docker save',
      ...(await openDockerArchive(files, manifest, options)),
      [Symbol.asyncDispose]: dispose,
    };
  throw new MblError(
    'apps/no-image',
    `${path} holds no image: it has neither an index.json nor a manifest.json.`,
    {
      remedy: 'Name a file that docker save made, or a folder in the layout of OCI.',
    },
  );
}

/** The archive itself, or its decompressed form in a temporary file. */
async function plainArchive(
  path: string,
  { limits, scratch }: OpenOptions,
): Promise<{ archive: string; dispose: () => Promise<void> }> {
  await using file = await open(path, 'r');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
  if (bytesRead === 0) throw badImage(`${path} is empty`);
  if (kindOf(buffer.subarray(0, bytesRead)) === undefined)
    return { archive: path, dispose: async () => undefined };
  const folder = await mkdtemp(join(scratch, 'mbl-image-'));
  const dispose = () => rm(folder, { recursive: true, force: true });
  try {
    const archive = join(folder, 'image.tar');
    const source = decompress(createReadStream(path) as AsyncIterable<Buffer>, limits);
    await pipeline(Readable.from(bounded(source, limits)), createWriteStream(archive));
    return { archive, dispose };
  } catch (cause) {
    await dispose();
    throw cause;
  }
}

async function* bounded(source: AsyncIterable<Buffer>, { bytes }: Limits): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const piece of source) {
    size += piece.length;
    if (size > bytes) throw badImage(`the archive has more than ${bytes} bytes`);
    yield piece;
  }
}
