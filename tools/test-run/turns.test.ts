// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pairs, singles, takeTurns, turnOf } from './turns.ts';

const root = join(import.meta.dirname, '../..');

test('of each pair one story is left out, the other one in the other turn, and one alone where it is not its turn; nothing else is', () => {
  const alone = singles.map(([name]) => name);
  const names = [...pairs.flat(), ...alone, 'tests/update.story.ts'];
  for (const name of names) assert.ok(existsSync(join(root, name)), name);
  assert.equal(new Set(names).size, names.length);
  const all = { checks: true, units: [], stories: names.map((name) => ({ name, files: [name] })) };
  const [even, odd] = [takeTurns(all, 0), takeTurns(all, 1)];
  for (const [turn, { selection, out }] of [even, odd].entries()) {
    assert.equal(out.length, pairs.length + singles.filter(([, its]) => its !== turn).length);
    const left = selection.stories.map(({ name }) => name);
    assert.ok(left.includes('tests/update.story.ts'));
    assert.deepEqual([...left, ...out].toSorted(), names.toSorted());
  }
  assert.deepEqual([...even.out, ...odd.out].toSorted(), [...pairs.flat(), ...alone].toSorted());
});

test('a content has one turn; without one there is a turn, too; somebody may ask for the other', async () => {
  assert.equal(await turnOf(root, {}), await turnOf(root, {}));
  assert.equal(await turnOf(tmpdir(), {}), 0);
  assert.equal(await turnOf(root, { MBL_TEST_TURN: '0' }), 0);
  assert.equal(await turnOf(root, { MBL_TEST_TURN: '1' }), 1);
});
