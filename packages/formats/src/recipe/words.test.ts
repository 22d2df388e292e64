// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as assertProperty, nat, property } from 'fast-check';
import { nearest } from './nearest.ts';
import { formatSize, parseSize } from './size.ts';

test('a name that was mistyped finds the right one, another one does not', () => {
  const names = ['packages', 'services', 'limits', 'login'];
  assert.equal(nearest('pakages', names), 'packages');
  assert.equal(nearest('package', names), 'packages');
  assert.equal(nearest('sevrices', names), 'services');
  assert.equal(nearest('Limits', names), 'limits');
  assert.equal(nearest('kernel', names), undefined);
  assert.equal(nearest('x', []), undefined);
});

test('sizes are read and written exactly', () => {
  assert.equal(parseSize('48 MiB'), 48 * 2 ** 20);
  assert.equal(parseSize('48MiB'), 48 * 2 ** 20);
  assert.equal(parseSize('130 MB'), 130e6);
  for (const wrong of ['48', '48 mib', '1.5 GiB', '-1 MiB', 'MiB', '', '9999999 TiB ', '999999999999 TiB'])
    assert.equal(parseSize(wrong), undefined, wrong);
  assertProperty(property(nat(), (bytes) => parseSize(formatSize(bytes)) === bytes));
});
