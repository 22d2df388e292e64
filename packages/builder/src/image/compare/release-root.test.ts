// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutReleaseKeys } from './release-root.ts';

const rootOf = (key: string, { threshold = 1, expires = '2028-01-01T00:00:00Z' } = {}) =>
  JSON.stringify({
    signatures: [{ keyid: key, sig: `${key}${key}` }],
    signed: {
      _type: 'root',
      version: 1,
      expires,
      keys: { [key]: { keyval: { public: key } } },
      roles: { root: { keyids: [key], threshold } },
    },
  });

test('of two roots for releases the keys, signatures and terms do not count', () => {
  const first = withoutReleaseKeys(rootOf('a'));
  assert.equal(withoutReleaseKeys(rootOf('b', { expires: '2030-01-01T00:00:00Z' })), first);
  assert.notEqual(withoutReleaseKeys(rootOf('a', { threshold: 2 })), first, 'who must sign does');
});

test('what is no root for releases is as it stands', () => {
  for (const text of ['', '{}', 'null', '{"signed":{"roles":{"root":null},"keys":{}}}'])
    assert.equal(withoutReleaseKeys(text), text);
});
