// SPDX-License-Identifier: Apache-2.0
import { type ErofsOptions, makeErofs as make, type TarOutput } from '@mbl/blocks';
import { MblError } from '@mbl/trust';
import { cleanEnvironment } from '../engine/run-command.ts';

/** Writes `entries` as an erofs to `path`, with the tools of the task that runs. `more`: further arguments of mkfs.erofs. */
export const makeErofs = async (
  entries: Iterable<TarOutput>,
  path: string,
  options: ErofsOptions,
  more: readonly string[] = [],
): Promise<void> => {
  await make(entries, path, { ...options, more, environment: cleanEnvironment() }).catch((cause: unknown) => {
    if (!(cause instanceof MblError) || cause.code !== 'blocks/mkfs-failed') throw cause;
    const full = cause.details?.['full'] === true;
    throw new MblError(full ? 'builder/disk-full' : 'builder/command-failed', cause.message, {
      remedy: full
        ? 'Free some space on the disk (see df -h), then run the build again.'
        : 'Run the build again with --verbose.',
      cause,
    });
  });
};
