// SPDX-License-Identifier: Apache-2.0
import { rename, rm } from 'node:fs/promises';
import { MblError } from '@mbl/trust';
import { runCommand } from './processes.ts';

/** Copies a file with its holes (as a reflink where the file system can). The target is complete or absent. */
export async function copySparse(from: string, to: string, signal?: AbortSignal): Promise<void> {
  const partial = `${to}.partial`;
  try {
    const result = await runCommand('cp', ['--sparse=always', '--reflink=auto', '--', from, partial], {
      timeoutMs: 600_000,
      signal,
      debianPackage: 'coreutils',
    });
    if (result.code !== 0) {
      if (result.stderr.includes('No space left on device')) {
        throw new MblError('lab/disk-full', `The disk is full; ${from} could not be copied.`, {
          remedy: `Free some space on the file system of ${to}.`,
        });
      }
      throw new MblError('lab/copy-failed', `Cannot copy ${from}: ${result.stderr.trim()}`, {
        remedy: `Check ${from} and the folder of ${to}.`,
      });
    }
    await rename(partial, to);
  } finally {
    await rm(partial, { force: true });
  }
}
