// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readText } from './read-text.ts';

test('a file is read up to a limit; none is no error', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-formats-'));
  t.after(async () => await rm(folder, { recursive: true }));
  const file = join(folder, 'text');
  await writeFile(file, 'ä23');
  assert.equal(await readText(file, 4), 'ä23');
  await assert.rejects(readText(file, 3), { code: 'formats/too-large' });
  assert.equal(await readText(join(folder, 'none'), 4), undefined);
  assert.equal(await readText(join(file, 'none'), 4), undefined);
  await assert.rejects(readText(folder, 4), { code: 'EISDIR' });
});
