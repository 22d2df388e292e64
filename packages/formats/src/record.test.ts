// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRecord } from './record.ts';

const read = (value: unknown) =>
  readRecord(JSON.stringify(value), { path: 'x.json', code: 'formats/bad-image', remedy: 'Do.', most: 1000 });

test('members are taken out one by one', () => {
  const json = read({
    text: 'a',
    number: 5,
    inner: { deep: { text: 'b' } },
    words: ['a', 'b'],
    things: [{ text: 'c' }],
    map: { one: { text: 'd' } },
  });
  assert.equal(json.string('text'), 'a');
  assert.equal(json.integer('number', 5), 5);
  assert.equal(json.object('inner').object('deep').string('text'), 'b');
  assert.deepEqual(json.strings('words', 2), ['a', 'b']);
  assert.deepEqual(
    json.objects('things', 1).map((one) => one.string('text')),
    ['c'],
  );
  assert.deepEqual(
    json.entries('map', 1).map(([name, one]) => [name, one.string('text')]),
    [['one', 'd']],
  );
  assert.equal(json.is('absent', undefined), true);
});

test('what is wrong is said with file, member, code and remedy', () => {
  const json = read({
    text: 'a\nb',
    long: 'x'.repeat(257),
    number: 1.5,
    negative: -1,
    many: [1, 2],
    list: ['a', 7],
    objects: [{}, []],
    map: { one: {}, two: {} },
    inner: { deep: null },
  });
  for (const [act, message] of [
    [() => json.string('text'), /^x\.json: "text" is missing or not well formed$/],
    [() => json.string('long'), /"long"/],
    [() => json.string('constructor'), /"constructor" is missing/],
    [() => json.integer('number'), /"number" must be a whole number$/],
    [() => json.integer('negative', 9), /"negative" must be a whole number up to 9/],
    [() => json.strings('many', 1), /"many" must be a list of at most 1/],
    [() => json.strings('list', 2), /"list\[1\]"/],
    [() => json.objects('objects', 2), /"objects\[1\]" must be an object/],
    [() => json.entries('map', 1), /"map" has more than 1 members/],
    [() => json.object('inner').object('deep'), /"inner\.deep" must be an object/],
    [() => read([]), /the whole must be an object/],
    [() => read({ text: 'x'.repeat(1000) }), /longer than 1000 characters/],
    [() => readRecord('{', { path: 'x.json', code: 'formats/bad-image', most: 9 }), /x\.json: not JSON/],
  ] as const) {
    assert.throws(act, { name: 'MblError', code: 'formats/bad-image', message });
  }
  assert.throws(() => json.object('no'), { remedy: 'Do.', details: { path: 'x.json' } });
});
