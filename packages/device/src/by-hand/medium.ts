// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { readText } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { writeAtomic } from '../common/files.ts';

/** On a medium: in its first line the release that is to be installed. What follows makes one order different from the next. */
export const releaseFile = 'release.txt';

const mostBytes = 4096;

export interface MediumOrder {
  readonly release: string;
  /** 64 hex digits. */
  readonly fingerprint: string;
}

/** What a medium orders. Throws `device/bad-medium`. */
export async function readMedium(folder: string): Promise<MediumOrder> {
  const text = await readText(join(folder, releaseFile), mostBytes).catch((cause: unknown) => {
    throw new MblError('device/bad-medium', `its ${releaseFile} cannot be read`, { cause });
  });
  if (text === undefined)
    throw new MblError('device/bad-medium', `it has no ${releaseFile} that names a release`);
  // As an editor elsewhere may have written it.
  const release = (text.replace(/^\uFEFF/, '').split('\n')[0] ?? '').trim();
  return { release, fingerprint: createHash('sha256').update(text).digest('hex') };
}

/**
 * The order that a medium gave last. One that stays in the board is read at every start: without this it would undo each later update, and
 * order again and again what did not prove good.
 */
export class LastOrder {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, 'last');
  }

  async is({ fingerprint }: MediumOrder): Promise<boolean> {
    const text = await readText(this.#path, mostBytes).catch(() => undefined);
    return text?.trim() === fingerprint;
  }

  async keep({ fingerprint }: MediumOrder): Promise<void> {
    await writeAtomic(this.#path, `${fingerprint}\n`, 0o644);
  }
}
