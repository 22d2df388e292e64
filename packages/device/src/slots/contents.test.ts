// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TemporaryFolder } from '../testing/support.ts';
import { digestOf } from './contents.ts';

test('what is read is the file, whole, and nobody waits for a pipe', async () => {
  using folder = new TemporaryFolder();
  const path = join(folder.path, 'file');
  const bytes = Buffer.alloc(3 * 4096 + 5, 'contents');
  writeFileSync(path, bytes);
  assert.equal(await digestOf(path, bytes.length), createHash('sha256').update(bytes).digest('hex'));
  assert.equal(await digestOf(path, 2 * bytes.length), undefined);
  const pipe = join(folder.path, 'pipe');
  execFileSync('mkfifo', [pipe]);
  await assert.rejects(digestOf(pipe, bytes.length), { code: 'ESPIPE' });
});
