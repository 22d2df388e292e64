// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readReleaseRoot } from './release-root.ts';

test('a key set without a root of releases makes no image', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-release-root-'));
  t.after(() => rm(folder, { recursive: true }));
  await assert.rejects(readReleaseRoot(folder), { code: 'builder/no-release-root' });
  await writeFile(join(folder, 'release-root.json'), '{}');
  assert.equal(await readReleaseRoot(folder), '{}');
});
