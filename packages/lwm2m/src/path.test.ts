// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '@mbl/coap';
import { comparePaths, formatPath, isWithin, parsePath, toPath } from './path.ts';

test('paths of every depth', () => {
  for (const [text, path] of [
    ['/', []],
    ['/3', [3]],
    ['/3/0', [3, 0]],
    ['/3/0/11', [3, 0, 11]],
    ['/3/0/11/65534', [3, 0, 11, 65534]],
  ] as const) {
    assert.deepEqual(parsePath(text), path);
    assert.equal(formatPath(path), text);
  }
  assert.deepEqual(parsePath('3/0'), [3, 0]);
});

test('what is no path is refused with 4.00', () => {
  for (const text of [
    '/a',
    '/3/',
    '//',
    '/65535',
    '/03',
    '/3/0/0/0/0',
    '/-1',
    '/1.5',
    '/1e3',
    '/ 1',
    '/3/0/0/0/',
  ]) {
    assert.throws(() => parsePath(text), { code: 'lwm2m/path-invalid', status: Code.BAD_REQUEST }, text);
  }
  assert.throws(() => toPath([3, 70000]), { code: 'lwm2m/path-invalid' });
});

test('order and containment', () => {
  assert.ok(isWithin([3, 0, 1], [3]));
  assert.ok(isWithin([3], [3]));
  assert.ok(!isWithin([3], [3, 0]));
  assert.ok(!isWithin([30], [3]));
  const paths = [[3, 0, 11], [3], [1, 5], [3, 0, 2]];
  assert.deepEqual(paths.toSorted(comparePaths), [[1, 5], [3], [3, 0, 2], [3, 0, 11]]);
});
