// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { readText } from '@mbl/formats';
import type { Trial } from './trial.ts';

/** The root hash by which the initramfs opened the running root, 64 hex digits; '' where nobody knows. `root`: where `/sys` is. */
export async function runningRootHash(root: string): Promise<string> {
  const text = await readText(join(root, 'sys/class/block/dm-0/dm/uuid'), 4096).catch(() => undefined);
  return /^VERITY-([0-9a-f]{64})\s*$/.exec(text ?? '')?.[1] ?? '';
}

/**
 * Whether what runs is what was judged, as a sentence where it is not: whoever may write the idle slot may have put an older signed version there after the
 * platform service had read it.
 */
export async function otherThanJudged(
  { release, rootHash }: Trial,
  root: string,
): Promise<string | undefined> {
  return (await runningRootHash(root)) === rootHash
    ? undefined
    : `its slot holds another version than the ${release} that was judged`;
}
