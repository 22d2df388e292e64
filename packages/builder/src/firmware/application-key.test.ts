// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { standInKey, withApplicationKey } from './application-key.ts';

const modulusOf = (pem: string): Buffer =>
  Buffer.from(createPublicKey(pem).export({ format: 'jwk' }).n ?? '', 'base64url');
const keyOf = (modulusLength: number, publicExponent = 65_537): string =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({
    type: 'spki',
    format: 'pem',
  });
const [before, behind] = [randomBytes(1000), randomBytes(500)];
const core = Buffer.concat([before, modulusOf(standInKey), behind]);

test("the owner's key takes the place of the stand-in, and nothing else changes", () => {
  const key = keyOf(2048);
  assert.deepEqual(withApplicationKey(core, key), Buffer.concat([before, modulusOf(key), behind]));
});

test('a core without the place, or with two, is refused', () => {
  const key = keyOf(2048);
  for (const wrong of [before, Buffer.concat([core, core]), withApplicationKey(core, key)])
    assert.throws(() => withApplicationKey(wrong, key), { code: 'builder/application-key' });
});

test('a key that does not fit the place is refused', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  for (const key of [keyOf(3072), keyOf(2048, 3), ec.export({ type: 'spki', format: 'pem' })])
    assert.throws(() => withApplicationKey(core, key), { code: 'builder/application-key' });
});
