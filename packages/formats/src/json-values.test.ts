// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasMoreValues } from './json-values.ts';

test('a text has at least as many values as are found when it is parsed, and at most twice as many', () => {
  const texts = [
    '1',
    '[]',
    '{}',
    '[[],[],[]]',
    '{"a":{"b":[1,2,{"c":null}]},"d":"e"}',
    String.raw`["a,b","\"[[[","\\","\\\",[{","{,["]`,
    JSON.stringify(Array.from({ length: 100 }, (_, i) => ({ [`"${i}\\`]: '\\"\\'.repeat(i) }))),
  ];
  for (const text of texts) {
    let values = 0;
    JSON.parse(text, (_, value: unknown) => (values++, value));
    assert.ok(hasMoreValues(text, values - 1), `${text} has ${values}`);
    assert.ok(!hasMoreValues(text, 2 * values), `${text} has no more than ${2 * values}`);
  }
});

test('what is in a string counts for nothing, also in one that does not end', () => {
  for (const text of [`"${',['.repeat(1000)}"`, `"${',['.repeat(1000)}`, `"\\"${',['.repeat(1000)}`])
    assert.ok(!hasMoreValues(text, 1));
});
