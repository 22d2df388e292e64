// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Channel, queueBytes } from './channel.ts';

const message = (id: string) => ({ 'de-registrations': [id] });

test('what did not reach the client is taken again, before the rest, and counts as before', () => {
  const channel = new Channel('a', 'websocket', 0, 2);
  for (const id of ['1', '2', '3']) channel.push(message(id), 10, 0);
  const taken = channel.take();
  assert.deepEqual(taken, { 'de-registrations': ['1', '2'] });
  channel.putBack(taken ?? {}, 20, 0);
  channel.push(message('4'), 10, 0);
  assert.deepEqual(channel.take(), { 'de-registrations': ['1', '2'] });
  assert.deepEqual(channel.take(), { 'de-registrations': ['3', '4'] });
  assert.equal(channel.take(), undefined);
});

test('what is put back is dropped like the rest: when the channel ended, and when there is too much', () => {
  const ended = new Channel('a', 'websocket', 0);
  ended.push(message('1'), 10, 0);
  const taken = ended.take() ?? {};
  ended.end();
  ended.putBack(taken, 10, 0);
  assert.equal(ended.length, 0);
  const full = new Channel('a', 'websocket', 0);
  full.putBack(message('old'), 10, 0);
  full.push(message('new'), queueBytes, 0);
  assert.deepEqual(full.take(), message('new'));
});
