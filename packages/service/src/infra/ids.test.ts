// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idPattern, idSource } from './ids.ts';

test('ids sort in the order they were given, whatever the clock does', () => {
  const times = [0x16e83ddc648, 0x16e83ddc648, 5, 0x16e83ddc649];
  let call = 0;
  const next = idSource(() => times[call++] ?? 0x16e83ddc650);
  const ids = Array.from({ length: 70_000 }, next);
  assert.ok(ids.every((id, index) => idPattern.test(id) && (index === 0 || id > (ids[index - 1] ?? ''))));
  assert.ok(ids[0]?.startsWith('016e83ddc648'), 'Unix time in ms');
});
