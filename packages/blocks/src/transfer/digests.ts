// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { GroupHasher } from '../groups.ts';
import { BLOCK_SIZE, DIGEST_SIZE, FANOUT } from '../layout.ts';
import type { PayloadIndex } from '../payload/format.ts';
import type { Blame } from './blame.ts';
import type { Fetcher } from './fetcher.ts';

/** Whether a hash block is that of its group. */
export function isGroup(
  index: PayloadIndex,
  hasher: GroupHasher,
  group: number,
  hashBlock: Uint8Array,
): boolean {
  const expected = index.groupDigests.subarray(group * DIGEST_SIZE, (group + 1) * DIGEST_SIZE);
  return hasher.digest(hashBlock).equals(expected);
}

/**
 * The digests of the blocks of `groups` groups from `first` on, from the first mirror whose digests lead to the root hash; those that lie are
 * named. Throws `blocks/no-mirror`, and `blocks/wrong-mirrors` when none is right.
 */
export async function fetchDigests(
  source: { readonly file: string; readonly fetcher: Fetcher; readonly blame: Blame },
  index: PayloadIndex,
  hasher: GroupHasher,
  [first, groups]: readonly [number, number],
): Promise<Buffer> {
  const { file, fetcher, blame } = source;
  const firstBlock = first * FANOUT;
  const end = Math.min(firstBlock + groups * FANOUT, index.dataBlocks);
  const range = {
    start: index.digestsAt + firstBlock * DIGEST_SIZE,
    end: index.digestsAt + end * DIGEST_SIZE,
  };
  return await fromHonest(fetcher, async (mirror, number) => {
    const digests = await fetcher.whole(file, range, number);
    for (let group = first; group < first + groups; group += 1) {
      const at = (group - first) * BLOCK_SIZE;
      const hashBlock = Buffer.alloc(BLOCK_SIZE);
      hashBlock.set(digests.subarray(at, at + BLOCK_SIZE));
      if (isGroup(index, hasher, group, hashBlock)) continue;
      blame.add(mirror, group * FANOUT);
      return undefined;
    }
    return digests;
  });
}

/**
 * Asks one mirror after the other, from the one that answers at present on; `ask` gives undefined for a wrong answer. Throws what the last one threw,
 * or `blocks/wrong-mirrors`.
 */
export async function fromHonest<T>(
  fetcher: Fetcher,
  ask: (mirror: string, number: number) => Promise<T | undefined>,
): Promise<T> {
  let failure: unknown;
  const { mirrors, current } = fetcher;
  for (let turn = 0; turn < mirrors.length; turn += 1) {
    const number = (current + turn) % mirrors.length;
    const mirror = mirrors[number];
    if (mirror === undefined) continue;
    try {
      const answer = await ask(mirror.name, number);
      if (answer !== undefined) return answer;
    } catch (error) {
      fetcher.signal.throwIfAborted();
      if (!(error instanceof MblError) || error.code !== 'blocks/no-mirror') throw error;
      failure = error;
    }
  }
  throw (
    failure ??
    new MblError(
      'blocks/wrong-mirrors',
      `What ${mirrors.map(({ name }) => name).join(', ')} gives is not the release.`,
      {
        remedy: 'Name a mirror that has the release as it was published.',
      },
    )
  );
}
