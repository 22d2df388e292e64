// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TemporaryFolder } from '../testing/support.ts';
import { removeTree } from './remove-tree.ts';

test('folders in folders whose path no system call takes go too, with names that are no text', async () => {
  using folder = new TemporaryFolder();
  const top = join(folder.path, 'volume');
  mkdirSync(top);
  // 100 folders of 200 letters: five times the longest path.
  const script =
    'i=0; while [ $i -lt 100 ]; do mkdir "$1" && cd -P "$1" && : >file || exit 1; i=$((i + 1)); done';
  execFileSync('/bin/sh', ['-c', script, 'sh', 'd'.repeat(200)], { cwd: top });
  writeFileSync(Buffer.concat([Buffer.from(`${top}/`), Buffer.from([0xff, 0xfe])]), 'bytes');
  await removeTree(top);
  assert.deepEqual(readdirSync(folder.path), []);
});

test('links are taken away and not followed, and what is not there is no error', async () => {
  using folder = new TemporaryFolder();
  const at = (name: string) => join(folder.path, name);
  mkdirSync(at('kept'));
  writeFileSync(at('kept/file'), 'kept');
  mkdirSync(at('gone/inner'), { recursive: true });
  symlinkSync(at('kept'), at('gone/inner/link'));
  symlinkSync(at('kept'), at('link'));
  execFileSync('mkfifo', [at('gone/pipe')]);
  for (const name of ['gone', 'link', 'nothing', 'kept/file/below']) await removeTree(at(name));
  assert.deepEqual(readdirSync(folder.path), ['kept']);
  assert.equal(readFileSync(at('kept/file'), 'utf8'), 'kept');
});
