// SPDX-License-Identifier: Apache-2.0
import { type TarOutput, writeTar } from '@mbl/blocks';

/** For tests: an archive of files by their paths, entries as they are added, and the release that it names. */
export function packed(
  files: ReadonlyMap<string, Buffer>,
  { release = '1.1', more = [] }: { release?: string; more?: readonly Partial<TarOutput>[] } = {},
): Buffer {
  const file = {
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    link: '',
    path: '',
    data: Buffer.alloc(0),
  } as const;
  const named = { ...file, path: 'release.txt', data: Buffer.from(`${release}\n`) };
  const rest = [...files].map(([path, data]) => ({ ...file, path, data }));
  return Buffer.concat([...writeTar([named, ...rest, ...more.map((one) => ({ ...file, ...one }))], 0)]);
}
