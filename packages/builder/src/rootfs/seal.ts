// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { open, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { spawn } from 'node:child_process';
import { pipeline } from 'node:stream/promises';
import { BLOCK_SIZE, VerityHasher } from '@mbl/blocks';
import { MblError } from '@mbl/trust';
import { type TarOutput, writeTar } from '../debian/tar.ts';
import { cleanEnvironment } from '../engine/run-command.ts';

/**
 * An image with its hash tree: erofs data, padded to blocks of 4096 bytes, and behind it the tree (dm-verity hash format 1, SHA-256, no
 * superblock). The kernel's table: `verity 1 <dev> <dev> 4096 4096 <dataSize/4096> <hashOffset/4096> sha256 <rootHash> <salt>`.
 */
export interface SealedImage {
  /** Bytes before the tree. */
  readonly dataSize: number;
  /** Bytes; equal to `dataSize`. */
  readonly hashOffset: number;
  /** Bytes in all. */
  readonly size: number;
  readonly rootHash: string;
  /** Hex. */
  readonly salt: string;
  readonly uuid: string;
}

export interface SealOptions {
  /** Hex; says which component this is, and is no secret. */
  readonly salt: string;
  readonly uuid: string;
  /** Seconds since 1970, of every file. */
  readonly time: number;
  readonly label?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Measured on a root of 214 MB with mkfs.erofs 1.8.6, two cores: time, size on the disk, size as a download (zstd -19 over it).
 * lz4hc,9: 1.8 s, 111 MB, 71 MB; with clusters of 64 KiB: 3.0 s, 92 MB, 69 MB; zstd,3 with 64 KiB: 6.6 s, 80 MB, 78 MB; zstd,9: 36 s,
 * 75 MB, 74 MB; fragments and tail packing save 1 MB for two seconds. The size of the clusters made no difference to the boot.
 */
const COMPRESSION = ['-zlz4hc,level=9', '-C65536'];

/** Writes `entries` as a sealed image to `path`. The bytes depend on the arguments only. */
export const sealImage = async (
  entries: Iterable<TarOutput>,
  path: string,
  options: SealOptions,
): Promise<SealedImage> => {
  await rm(path, { force: true });
  await makeErofs(entries, path, options);
  const { size } = await stat(path);
  const dataSize = Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
  if (dataSize !== size) await truncate(path, dataSize);
  const hasher = new VerityHasher(Buffer.from(options.salt, 'hex'));
  await using image = await open(path, 'a+');
  // One buffer for all: a new one each would have the collector look at hundreds of megabytes of the tree again and again.
  const piece = Buffer.allocUnsafe(1 << 20);
  for (;;) {
    options.signal?.throwIfAborted();
    const { bytesRead } = await image.read(piece, 0, piece.length, null);
    if (bytesRead === 0) break;
    hasher.update(piece.subarray(0, bytesRead));
  }
  const { tree, rootHash } = hasher.finish();
  await image.appendFile(tree);
  const { salt, uuid } = options;
  return { dataSize, hashOffset: dataSize, size: dataSize + tree.length, rootHash, salt, uuid };
};

const makeErofs = async (entries: Iterable<TarOutput>, path: string, options: SealOptions): Promise<void> => {
  const args = [
    '--quiet',
    '--tar=f',
    ...COMPRESSION,
    `-T${options.time}`,
    `-U${options.uuid}`,
    ...(options.label ? ['-L', options.label] : []),
    '--workers=2',
    path,
  ];
  // mkfs.erofs takes SOURCE_DATE_EPOCH over its arguments.
  const env = cleanEnvironment({ SOURCE_DATE_EPOCH: undefined });
  const child = spawn('mkfs.erofs', args, { env, stdio: ['pipe', 'ignore', 'pipe'], signal: options.signal });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000);
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
  // When mkfs ends early the pipe breaks; its own words say why.
  const fed = pipeline(Readable.from(writeTar(entries, options.time)), child.stdin).catch(() => {});
  const [status] = await Promise.all([ended, fed]);
  if (status !== 0) {
    const full = /No space left/.test(errors);
    throw new MblError(
      full ? 'builder/disk-full' : 'builder/command-failed',
      `mkfs.erofs ended with status ${status}: ${errors.trim()}`,
      {
        remedy: full
          ? 'Free some space on the disk (see df -h), then run the build again.'
          : 'Run the build again with --verbose.',
      },
    );
  }
};

/** A UUID (version 8, own meaning) made of a text: fixed for a fixed name. */
export const uuidOf = (name: string): string => {
  const bytes = createHash('sha256').update(name).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
};

/** Writes the description beside the image. */
export const writeDescription = (path: string, image: SealedImage): Promise<void> =>
  writeFile(path, `${JSON.stringify(image, null, 2)}\n`);
