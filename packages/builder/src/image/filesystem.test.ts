// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempDisposable, readFile, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { makeExt4 } from './filesystem.ts';

const mebibyte = 1024 * 1024;
const run = promisify(execFile);

test('a partition gets the file system that a file of its size would get, and its neighbours stay', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'mbl-ext4-'));
  const [disk, alone] = [join(scratch.path, 'disk'), join(scratch.path, 'alone')];
  const size = 32 * mebibyte;
  const before = Buffer.alloc(mebibyte, 'before');
  const after = Buffer.alloc(mebibyte, 'after');
  await writeFile(disk, Buffer.concat([before, Buffer.alloc(size), after]));
  await makeExt4(disk, { name: 'config', offset: mebibyte, size });
  await writeFile(alone, '');
  await truncate(alone, size);
  await makeExt4(alone, { name: 'config', offset: 0, size });

  const bytes = await readFile(disk);
  assert.ok(bytes.subarray(0, mebibyte).equals(before));
  assert.ok(bytes.subarray(mebibyte + size).equals(after));
  const found = bytes.subarray(mebibyte, mebibyte + size);
  assert.ok(found.equals(await readFile(alone)));
  await run('/usr/sbin/e2fsck', ['-f', '-n', alone]);
});
