// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildingStories, longestFirst, longSuites, storyLanes } from './lanes.ts';

test('stories that build come one after the other, all others beside them', () => {
  const suite = (name: string) => ({ name, files: [name] });
  const stories = ['tests/device.story.ts', 'tests/hsm.story.ts', 'tests/up.story.ts'].map(suite);
  assert.deepEqual(storyLanes(stories), {
    building: ['tests/up.story.ts', 'tests/hsm.story.ts'].map(suite),
    booting: ['tests/device.story.ts'].map(suite),
  });
});

test('the longest begin first, what is not known to be long comes behind in its order', () => {
  const names = ['packages/coap', 'tests/archive.story.ts', 'packages/service', 'tests/recovery.story.ts'];
  assert.deepEqual(
    longestFirst(names.map((name) => ({ name, files: [] }))).map(({ name }) => name),
    ['packages/service', 'tests/recovery.story.ts', 'packages/coap', 'tests/archive.story.ts'],
  );
});

test('each suite that is said to build or to be long is there', () => {
  for (const name of [...buildingStories, ...longSuites])
    assert.ok(existsSync(join(import.meta.dirname, '../..', name)), name);
});
