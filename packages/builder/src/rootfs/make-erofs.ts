// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MblError } from '@mbl/trust';
import { type TarOutput, writeTar } from '../debian/tar.ts';
import { cleanEnvironment } from '../engine/run-command.ts';

export interface ErofsOptions {
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

/** Writes `entries` as an erofs to `path`. `more`: further arguments of mkfs.erofs. */
export const makeErofs = async (
  entries: Iterable<TarOutput>,
  path: string,
  options: ErofsOptions,
  more: readonly string[] = [],
): Promise<void> => {
  const args = [
    '--quiet',
    ...more,
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
