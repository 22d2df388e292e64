// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AppCaller, formatAppCallers, parseAppCallers } from './app-callers.ts';

const sensor: AppCaller = {
  app: 'sensor',
  team: 'measuring',
  resources: [{ path: '/3303/0/5700', type: 'float', operations: ['read'] }],
  talk: ['com.mbl.Cloud1'],
  own: [],
};

test('who an app is on the bus survives the file', () => {
  const callers = new Map([
    [200_000, sensor],
    [200_017, { ...sensor, app: 'pump', resources: [] }],
  ]);
  assert.deepEqual(parseAppCallers(formatAppCallers(callers)), callers);
});

test('a file that says something else is refused', () => {
  const text = formatAppCallers(new Map([[200_000, sensor]]));
  for (const [from, to] of [
    ['"version":1', '"version":2'],
    ['"200000"', '"root"'],
    ['"200000"', '"0"'],
    ['"sensor"', '"root"'],
    ['"measuring"', '"../x"'],
    ['/3303/0/5700', '/3303/0'],
    ['"talk":["com.mbl.Cloud1"]', '"talk":[1]'],
    [text, ''],
  ] as const) {
    assert.throws(() => parseAppCallers(text.replace(from, to)), { code: 'formats/bad-app-callers' });
  }
});
