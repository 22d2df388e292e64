// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findProject } from './workspace.ts';

test('the nearest project file is found, up to the top of a working copy', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-project-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  const deep = join(folder, 'src/deep');
  await mkdir(deep, { recursive: true });
  assert.equal(findProject(deep), undefined);
  await writeFile(join(folder, 'mbl.yaml'), '');
  assert.equal(findProject(folder), join(folder, 'mbl.yaml'));
  assert.equal(findProject(deep), join(folder, 'mbl.yaml'));
  await writeFile(join(folder, 'src/mbl.yaml'), '');
  assert.equal(findProject(deep), join(folder, 'src/mbl.yaml'));
  await mkdir(join(deep, '.git'));
  assert.equal(findProject(deep), undefined);
});
