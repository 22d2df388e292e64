// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { PackageOptions } from '../../debian/packages.ts';
import { openToolbox } from '../../debian/toolbox.ts';
import { readLock } from '../../recipes/lock.ts';
import { toolSuite } from '../../resolve.ts';

/**
 * The words that start fsck.erofs of the distribution's own locked tools; never those of a lock that lies beside an image, which may come
 * from anybody.
 */
export async function fsckErofs(osDirectory: string, options: PackageOptions): Promise<readonly string[]> {
  const { packages } = await readLock(join(osDirectory, 'locks', toolSuite, 'tools-amd64.json'));
  const toolbox = await openToolbox(packages, toolSuite, options);
  return await toolbox.command('fsck.erofs');
}
