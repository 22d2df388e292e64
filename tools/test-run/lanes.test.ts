// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildingStories, storyLanes } from './lanes.ts';

test('stories that build come one after the other, all others beside them', () => {
  const suite = (name: string) => ({ name, files: [name] });
  const stories = ['tests/device.story.ts', 'tests/hsm.story.ts', 'tests/up.story.ts'].map(suite);
  assert.deepEqual(storyLanes(stories), {
    building: ['tests/hsm.story.ts', 'tests/up.story.ts'].map(suite),
    booting: ['tests/device.story.ts'].map(suite),
  });
});

test('each story that is said to build is there', () => {
  for (const name of buildingStories) assert.ok(existsSync(join(import.meta.dirname, '../..', name)), name);
});
