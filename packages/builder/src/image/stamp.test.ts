// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdir, mkdtempDisposable, open, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isCurrent, stamp } from './stamp.ts';

test('a folder is current until its key changes or somebody touches a file in it', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'mbl-stamp-'));
  const folder = join(scratch.path, 'image');
  const file = join(scratch.path, 'stamps', 'image.json');
  await mkdir(folder);
  await writeFile(join(folder, 'disk.img'), 'a disk');
  assert.equal(await isCurrent(file, 'key', folder), false, 'no stamp yet');
  await stamp(file, 'key', folder);
  assert.equal(await isCurrent(file, 'key', folder), true);
  assert.equal(await isCurrent(file, 'another', folder), false);

  const disk = await open(join(folder, 'disk.img'), 'r+');
  await disk.write('b', 0);
  await disk.close();
  assert.equal(await isCurrent(file, 'key', folder), false, 'a changed byte');
  await stamp(file, 'key', folder);
  await writeFile(join(folder, 'more'), '');
  assert.equal(await isCurrent(file, 'key', folder), false, 'another file');
  await rm(join(folder, 'more'));
  assert.equal(await isCurrent(file, 'key', folder), true);
  await writeFile(join(scratch.path, 'draft'), 'a disk');
  await rename(join(scratch.path, 'draft'), join(folder, 'disk.img'));
  assert.equal(await isCurrent(file, 'key', folder), false, 'a replaced file');
  await rm(folder, { recursive: true });
  assert.equal(await isCurrent(file, 'key', folder), false, 'the folder is gone');
  await writeFile(file, '{');
  assert.equal(await isCurrent(file, 'key', folder), false, 'a damaged stamp');
});
