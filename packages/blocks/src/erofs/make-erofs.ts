// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MblError } from '@mbl/trust';
import { type TarOutput, writeTar } from '../tar/write.ts';

export interface ErofsOptions {
  readonly uuid: string;
  /** Seconds since 1970, of every file that has no time of its own. */
  readonly time: number;
  /** At most 15 bytes. */
  readonly label?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface MakeErofsOptions extends ErofsOptions {
  /** Environment of mkfs.erofs, which it finds on the PATH in it; nothing else of this process's. */
  readonly environment: Readonly<Record<string, string>>;
  /** Files keep their own times (`TarOutput.time`). */
  readonly ownTimes?: boolean;
  /** Further arguments of mkfs.erofs. */
  readonly more?: readonly string[];
}

/**
 * Measured on a root of 214 MB with mkfs.erofs 1.8.6, two cores: time, size on the disk, size as a download (zstd -19 over it).
 * lz4hc,9: 1.8 s, 111 MB, 71 MB; with clusters of 64 KiB: 3.0 s, 92 MB, 69 MB; zstd,3 with 64 KiB: 6.6 s, 80 MB, 78 MB; zstd,9: 36 s,
 * 75 MB, 74 MB; fragments and tail packing save 1 MB for two seconds. The size of the clusters made no difference to the boot.
 */
const COMPRESSION = ['-zlz4hc,level=9', '-C65536'];

/**
 * Writes `entries` as an erofs to `path`. The bytes depend on the arguments and the version of mkfs.erofs only. Throws `blocks/no-mkfs`,
 * `blocks/mkfs-failed` (`details.full`: the disk was full).
 */
export const makeErofs = async (
  entries: Iterable<TarOutput>,
  path: string,
  options: MakeErofsOptions,
): Promise<void> => {
  const args = [
    '--quiet',
    ...(options.more ?? []),
    '--tar=f',
    ...COMPRESSION,
    `-T${options.time}`,
    ...(options.ownTimes === true ? ['--mkfs-time'] : []),
    `-U${options.uuid}`,
    ...(options.label ? ['-L', options.label] : []),
    '--workers=2',
    path,
  ];
  // mkfs.erofs takes SOURCE_DATE_EPOCH over its arguments.
  const { SOURCE_DATE_EPOCH: _, ...env } = options.environment;
  const child = spawn('mkfs.erofs', args, { env, stdio: ['pipe', 'ignore', 'pipe'], signal: options.signal });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000);
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
  // When mkfs ends early the pipe breaks; its own words say why. What goes wrong with the entries themselves is said first.
  let broken: unknown;
  const source = Readable.from(writeTar(entries, options.time));
  source.once('error', (error) => {
    broken = error;
  });
  const fed = pipeline(source, child.stdin).catch(() => child.stdin.destroy());
  const [status] = await Promise.all([ended, fed]).catch((cause: unknown) => {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')
      throw new MblError('blocks/no-mkfs', 'There is no mkfs.erofs on the search path.', {
        remedy: 'Install the Debian package erofs-utils.',
        cause,
      });
    throw cause;
  });
  if (broken instanceof MblError) throw broken;
  if (status === 0) return;
  throw new MblError('blocks/mkfs-failed', `mkfs.erofs ended with status ${status}: ${errors.trim()}`, {
    remedy: 'Look for a full disk with df -h, then run the same command again.',
    details: { status, full: /No space left/.test(errors) },
  });
};
