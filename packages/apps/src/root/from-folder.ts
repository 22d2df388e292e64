// SPDX-License-Identifier: Apache-2.0
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { Budget } from '../layers/budget.ts';
import { partsOf } from '../layers/names.ts';
import type { LayerEntry } from '../layers/read-layer.ts';
import { emptyContent, type Spool } from '../layers/spool.ts';
import type { Limits } from '../limits.ts';
import { Tree } from './tree.ts';

/**
 * The root file system that a folder is: everything belongs to root, times are 1970, of the permissions only who may execute counts. So two
 * checkouts of one commit are one app. Throws `apps/no-image`, `apps/device-node`, `apps/too-large`.
 */
export async function readFolder(folder: string, spool: Spool, limits: Limits): Promise<Tree> {
  const tree = new Tree();
  const budget = new Budget(limits);
  const waiting = [''];
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    const entries = await readdir(join(folder, path)).catch((cause: unknown) => {
      throw new MblError('apps/no-image', `There is no folder ${join(folder, path ?? '')}.`, {
        remedy: 'Make it: it is the root file system of the app.',
        cause,
      });
    });
    for (const name of entries.toSorted()) {
      const below = path === '' ? name : `${path}/${name}`;
      budget.entry();
      budget.text(below.length);
      const entry = await readEntry(join(folder, below), partsOf(below, limits.depth), spool, budget);
      tree.apply(entry, 0);
      if (entry.type === 'directory') waiting.push(below);
    }
  }
  await spool.finish();
  return tree;
}

async function readEntry(
  place: string,
  parts: readonly string[],
  spool: Spool,
  budget: Budget,
): Promise<LayerEntry> {
  const info = await lstat(place);
  const common = {
    parts,
    uid: 0,
    gid: 0,
    time: 0,
    link: '',
    target: [],
    content: emptyContent,
    attributes: new Map(),
  };
  if (info.isDirectory()) return { ...common, type: 'directory', mode: 0o755 };
  if (info.isSymbolicLink()) return { ...common, type: 'symlink', mode: 0o777, link: await readlink(place) };
  if (!info.isFile())
    throw new MblError('apps/device-node', `${place} is neither a file nor a folder nor a link.`, {
      remedy: 'Take it out of the folder.',
    });
  await using file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW);
  const offset = spool.end;
  for await (const piece of file.createReadStream({ autoClose: false })) {
    budget.content(parts.join('/'), (piece as Buffer).length);
    await spool.append(piece as Buffer);
  }
  const mode = (info.mode & 0o111) === 0 ? 0o644 : 0o755;
  return { ...common, type: 'file', mode, content: { offset, size: spool.end - offset } };
}
