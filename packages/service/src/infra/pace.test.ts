// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from './pace.ts';

test('one that waits alone has its turn at once, several have theirs together later', async () => {
  // With a pause between them the test would not end.
  const alone = new Pace(3_600_000);
  await alone.turn(() => 1);
  await alone.turn(() => 1);
  const several = new Pace(100);
  await several.turn(() => 2);
  const since = performance.now();
  await several.turn(() => 2);
  // A timer may be a millisecond early.
  assert.ok(performance.now() - since >= 90);
});
