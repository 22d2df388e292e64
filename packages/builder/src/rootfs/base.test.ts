// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempDisposable } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TarOutput } from '@mbl/blocks';
import { currentTools } from '../engine/current-tools.ts';
import { openLockedToolbox } from '../tools/locked.ts';
import { loadBase, overBase, storeBase } from './base.ts';

const cache =
  process.env['MBL_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'mbl');

const entry = (
  path: string,
  type: TarOutput['type'],
  text = '',
  more: Partial<TarOutput> = {},
): TarOutput => ({
  path,
  type,
  mode: type === 'directory' ? 0o755 : 0o644,
  uid: 0,
  gid: 0,
  link: type === 'file' ? '' : text,
  data: Buffer.from(type === 'file' ? text : ''),
  ...more,
});
const top = entry('', 'directory');
const usr = entry('usr', 'directory');
const lib = entry('usr/lib', 'directory');
const a = entry('usr/lib/a', 'file', 'a');
const b = entry('usr/lib/b', 'file', 'b');
const alias = entry('usr/lib/alias', 'hardlink', 'usr/lib/a');
const all = [top, usr, lib, a, b, alias];

test('over a base is written what differs, in its directories, as long as nothing goes and no hard link moves', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'mbl-base-'));
  const folder = join(scratch.path, 'base');
  const tools = await openLockedToolbox(join(import.meta.dirname, '../../../../os'), 'image', { cache });
  const options = { uuid: '11111111-2222-8333-9444-555555555555', time: 0 };
  await currentTools.run(tools, () => storeBase(all, folder, options));
  const base = await loadBase(folder);
  const over = (entries: readonly TarOutput[]): string[] | undefined =>
    overBase(base, entries)?.map(({ path }) => path);

  assert.deepEqual(over(all), [''], 'nothing');
  const added = entry('etc/c', 'file', 'c');
  const etc = entry('etc', 'directory');
  assert.deepEqual(over([...all, etc, added]), ['', 'etc', 'etc/c'], 'a new file');
  const inside = ['', 'usr', 'usr/lib', 'usr/lib/b'];
  for (const other of [
    entry('usr/lib/b', 'file', 'c'),
    entry('usr/lib/b', 'symlink', 'a'),
    { ...b, mode: 0o755 },
    { ...b, uid: 1 },
    { ...b, gid: 1 },
  ])
    assert.deepEqual(over([top, usr, lib, a, other, alias]), inside, JSON.stringify(other));

  assert.equal(over([top, usr, lib, a, alias]), undefined, 'b is gone');
  assert.equal(over([top, usr, lib, { ...a, mode: 0o755 }, b, alias]), undefined, 'a has a second name');
  assert.equal(over([...all, entry('usr/lib/new', 'hardlink', 'usr/lib/b')]), undefined, 'a new hard link');
});
