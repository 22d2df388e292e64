// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idAfter, idPattern, idSource } from './ids.ts';

test('ids sort in the order they were given, whatever the clock does', () => {
  const times = [0x16e83ddc648, 0x16e83ddc648, 5, 0x16e83ddc649];
  let call = 0;
  const next = idSource(() => times[call++] ?? 0x16e83ddc650);
  const ids = Array.from({ length: 70_000 }, next);
  assert.ok(ids.every((id, index) => idPattern.test(id) && (index === 0 || id > (ids[index - 1] ?? ''))));
  assert.ok(ids[0]?.startsWith('016e83ddc648'), 'Unix time in ms');
});

test('an id after another, whatever the clock says', () => {
  const newId = idSource(() => 1000);
  const [early, late] = [newId(), idSource(() => 5000)()];
  assert.equal(idAfter(undefined, early), early);
  assert.equal(idAfter(early, late), late);
  const next = idAfter(late, early);
  assert.ok(next > late && idPattern.test(next) && next.endsWith(early.slice(16)));
  assert.ok(idAfter(next, early) > next);
});
