// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { displayPath } from '@mbl/formats';
import type { Tree } from './tree.ts';

/**
 * Lays a folder of the workspace over the tree. Everything belongs to root; a file is 0755 when its owner may execute it here, else 0644:
 * nothing else of a mode survives a version control system. Other owners and modes are the business of tmpfiles.d and the policy.
 */
export const layFolder = async (tree: Tree, folder: string): Promise<void> => {
  const from = displayPath(folder);
  const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    throw new MblError('builder/missing-file', `The folder ${from} cannot be read.`, {
      remedy: 'Correct the path under "files:" in the image or the layer.',
      cause,
    });
  });
  const paths = names
    .map((item) => ({ item, path: join(item.parentPath, item.name) }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  for (const { item, path } of paths) {
    const place = path.slice(folder.replace(/\/+$/, '').length + 1);
    if (item.isDirectory()) tree.directory(place, from);
    else if (item.isSymbolicLink()) tree.symlink(place, await readlink(path), from);
    else if (item.isFile()) {
      const executable = ((await stat(path)).mode & 0o100) !== 0;
      tree.file(place, await readFile(path), from, executable ? 0o755 : 0o644);
    } else
      throw new MblError(
        'builder/bad-file',
        `${displayPath(path)} is neither a file nor a folder nor a link.`,
        {
          remedy: 'Remove it from the folder.',
        },
      );
  }
};
