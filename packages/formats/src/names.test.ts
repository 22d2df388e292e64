// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEndpointName } from './names.ts';

test('an endpoint name is a file name, a user name and a query value', () => {
  for (const name of ['mbl-board-1', 'a', 'urn:imei:1234', '_x.y', 'x'.repeat(64)])
    assert.equal(isEndpointName(name), true, name);
  for (const name of ['', '.', '..', '.hidden', 'a/b', 'a b', 'a&b', 'ä', 'a\n', 'x'.repeat(65)])
    assert.equal(isEndpointName(name), false, name);
});
