// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../simulation/simulated-clock.ts';
import { ExpiringMap } from './expiring-map.ts';

test('the oldest entry gives way, every entry expires, and an empty map has no timer', async () => {
  const clock = new SimulatedClock();
  const left: number[] = [];
  const map = new ExpiringMap<number>(clock, 1000, 2, (value) => left.push(value));
  map.set('a', 1);
  await clock.advance(400);
  map.set('b', 2);
  map.set('a', 3);
  map.set('c', 4);
  assert.deepEqual([map.get('a'), map.get('b'), map.get('c')], [3, undefined, 4]);
  await clock.advance(999);
  assert.equal(map.get('a'), 3);
  await clock.advance(1);
  assert.deepEqual([map.get('a'), map.get('c')], [undefined, undefined]);
  assert.equal(clock.pending, 0);
  map.set('d', 5);
  map.set('d', 5);
  map.delete('d');
  map.delete('d');
  assert.equal(clock.pending, 0);
  map.set('e', 6);
  map.clear();
  assert.deepEqual(left, [1, 2, 3, 4, 5, 6]);
});
