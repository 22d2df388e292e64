// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { memorySigner } from '@mbl/trust';
import { signTrustedApplication } from '../../firmware/trusted-application.ts';
import { findApplicationKey, readApplication, withoutSignature } from './application-key.ts';

const uuid = 'fd02c9da-306c-48c7-a49c-bbd827ae86ee';
const elf = Buffer.from('code of an application');
const makeKey = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const sign = async (key: KeyObject, version = 0): Promise<Buffer> =>
  await signTrustedApplication(uuid, elf, version, memorySigner(key));
const modulusOf = (key: KeyObject): Buffer => Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url');
const opteeWith = (key: KeyObject): Buffer =>
  Buffer.concat([randomBytes(1000), modulusOf(key), randomBytes(1000)]);

test('the key that signed an application is found where two differ', async () => {
  const key = makeKey();
  const application = readApplication(await sign(key));
  assert.ok(application !== undefined);
  const optee = opteeWith(key);
  // The first bytes of two moduli may be the same.
  for (const near of [1000, 1003])
    assert.deepEqual(findApplicationKey(optee, near, application), modulusOf(key));
  for (const near of [0, 999, 1100, optee.length - 1])
    assert.equal(findApplicationKey(optee, near, application), undefined);
});

test('a key that did not sign the application is not taken for it', async () => {
  const application = readApplication(await sign(makeKey()));
  assert.ok(application !== undefined);
  assert.equal(findApplicationKey(opteeWith(makeKey()), 1000, application), undefined);
});

test('without signatures the same application is the same, another version another', async () => {
  const [a, b] = [makeKey(), makeKey()];
  assert.deepEqual(withoutSignature(await sign(a)), withoutSignature(await sign(b)));
  assert.notDeepEqual(withoutSignature(await sign(a)), withoutSignature(await sign(a, 1)));
});

test('what is no signed application stays as it is', async () => {
  const cut = (await sign(makeKey())).subarray(0, 100);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('HSTO'),
    Buffer.from('ELF and more of it, so that it is long'),
    cut,
  ]) {
    assert.equal(readApplication(bytes), undefined);
    assert.equal(withoutSignature(bytes), bytes);
  }
});
