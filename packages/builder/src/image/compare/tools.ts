// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { PackageOptions } from '../../debian/packages.ts';
import { openLockedToolbox } from '../../tools/locked.ts';

/**
 * The words that start fsck.erofs of the distribution's own locked tools; never those of a lock that lies beside an image, which may come
 * from anybody.
 */
export async function fsckErofs(osDirectory: string, options: PackageOptions): Promise<readonly string[]> {
  const { path } = await openLockedToolbox(osDirectory, 'image', options);
  return [join(path[0] ?? '', 'fsck.erofs')];
}
