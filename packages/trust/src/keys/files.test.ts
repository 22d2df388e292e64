// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, verify } from 'node:crypto';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { MblError } from '../errors.ts';
import { OpensslPeer } from '../testing/openssl-peer.ts';
import { keyNames } from './catalogue.ts';
import { parseKeyIndex } from './index-file.ts';
import { initKeys } from './init.ts';
import { deviceCa, type KeySet, loadCertificate, loadKeys, privateKeyFile } from './key-set.ts';
import { confirmProfile, imagePublicKeys } from './profile.ts';
import { parseTokenUri, tokenUri } from './pkcs11-uri.ts';

const data = Buffer.from('what is signed');
let folder: string;
let keys: KeySet;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mbl-keys-'));
  keys = await initKeys(join(folder, 'keys'), { profile: 'development' });
});

after(() => rmSync(folder, { recursive: true, force: true }));

test('every key signs, and its public key verifies', async () => {
  for (const name of keyNames) {
    const key = keys.keys[name];
    const publicKey = createPublicKey(await key.publicKey());
    const digest = key.algorithm === 'ed25519' ? null : 'sha256';
    assert.ok(verify(digest, data, publicKey, await key.sign(data)), name);
    assert.ok(!verify(digest, Buffer.from('other'), publicKey, await key.sign(data)), name);
  }
});

test('every file is for the owner only, and nothing else is left behind', () => {
  assert.equal(statSync(keys.dir).mode & 0o777, 0o700);
  const files = readdirSync(keys.dir);
  for (const file of files) assert.equal(statSync(join(keys.dir, file)).mode & 0o777, 0o600, file);
  assert.deepEqual(readdirSync(folder), ['keys']);
  const readme = readFileSync(join(keys.dir, 'README.txt'), 'utf8');
  for (const file of files.filter((name) => /\.(key|crt)$/.test(name)))
    assert.ok(readme.includes(file), file);
  assert.match(readme, /Never commit/);
  assert.match(readme, /device-ca {2}.*\n {2}signs: device certificates[^\n]*\n.*pose as any device\.\n/);
  assert.match(readme, /service-ca\.key/);
});

test('openssl reads key files and the certificates belong to their keys', async () => {
  using openssl = new OpensslPeer();
  for (const name of keyNames)
    openssl.run('pkey', '-in', privateKeyFile(keys.keys[name]), '-check', '-noout');
  for (const name of ['fit', 'device-ca'] as const) {
    const certificate = await loadCertificate(keys.keys[name]);
    assert.ok(certificate.checkPrivateKey(createPrivateKey(readFileSync(privateKeyFile(keys.keys[name])))));
  }
  assert.equal((await deviceCa(keys)).certificate.ca, true);
  await assert.rejects(loadCertificate(keys.keys.bl31), { code: 'keys/no-certificate' });
});

test('a key set is never overwritten, an empty folder is filled', async () => {
  const before = readFileSync(join(keys.dir, 'fit.key'));
  await assert.rejects(initKeys(keys.dir, { profile: 'production' }), { code: 'keys/exists' });
  assert.deepEqual(readFileSync(join(keys.dir, 'fit.key')), before);
  await assert.rejects(initKeys(join(keys.dir, 'fit.key'), { profile: 'production' }), {
    code: 'keys/exists',
  });
  const both = await Promise.allSettled(
    [1, 2].map(() => initKeys(join(folder, 'race'), { profile: 'production' })),
  );
  assert.deepEqual(both.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
  assert.equal((await loadKeys(join(folder, 'race'))).profile, 'production');
  rmSync(join(folder, 'race'), { recursive: true });
});

test('missing, mixed up and unreadable files are named', async () => {
  const dir = join(folder, 'broken');
  await assert.rejects(loadKeys(dir), { code: 'keys/missing' });
  await initKeys(dir, { profile: 'development' });
  writeFileSync(join(dir, 'bl31.key'), readFileSync(join(dir, 'ta.key')));
  await assert.rejects(loadKeys(dir), { code: 'keys/bad-key', message: /bl31\.key.*ec-p256/ });
  writeFileSync(join(dir, 'bl31.key'), 'nonsense');
  await assert.rejects(loadKeys(dir), { code: 'keys/bad-key' });
  unlinkSync(join(dir, 'bl31.key'));
  await assert.rejects(loadKeys(dir), { code: 'keys/missing-key', message: /bl31\.key/ });
  writeFileSync(join(dir, 'keys.json'), '{"version":1');
  await assert.rejects(loadKeys(dir), { code: 'keys/bad-index' });
  chmodSync(dir, 0o700);
  rmSync(dir, { recursive: true });
});

test('the profile is bound to the keys: a copied index, another word or other keys are found out', async () => {
  const dir = join(folder, 'sealed');
  const path = join(dir, 'keys.json');
  const confirm = async () => {
    const set = await loadKeys(dir);
    return confirmProfile(set, await imagePublicKeys(set.keys));
  };
  for (const profile of ['development', 'production'] as const) {
    await initKeys(dir, { profile });
    const text = readFileSync(path, 'utf8');
    assert.equal(await confirm(), profile);
    const change = async (edit: (index: Record<string, unknown>) => void) => {
      const index = JSON.parse(text) as Record<string, unknown>;
      edit(index);
      writeFileSync(path, JSON.stringify(index));
      return await confirm();
    };
    const other = profile === 'development' ? 'production' : 'development';
    await assert.rejects(
      change((index) => (index['profile'] = other)),
      { code: 'keys/profile-changed' },
    );
    // What has neither is somebody's own file for keys that are elsewhere: a product's, until it says otherwise.
    assert.equal(
      await change((index) => {
        delete index['profile'];
        delete index['seal'];
      }),
      'production',
    );
    writeFileSync(path, text);
    // The development set of this file under its own index, in part and as a whole.
    for (const files of [
      ['fit.key', 'fit.crt'],
      readdirSync(keys.dir).filter((name) => name !== 'keys.json'),
    ]) {
      for (const file of files) writeFileSync(join(dir, file), readFileSync(join(keys.dir, file)));
      await assert.rejects(confirm(), { code: 'keys/profile-changed' });
    }
    rmSync(dir, { recursive: true });
  }
});

test('a key index names one place for each key and stays in its folder', () => {
  const good = JSON.parse(readFileSync(join(keys.dir, 'keys.json'), 'utf8'));
  const read = (change: (index: typeof good) => void) => {
    const index = structuredClone(good);
    change(index);
    return parseKeyIndex(JSON.stringify(index), 'keys.json');
  };
  assert.deepEqual(
    read(() => undefined),
    good,
  );
  const bad: ((index: typeof good) => void)[] = [
    (index) => (index.version = 2),
    (index) => (index.profile = 'other'),
    (index) => (index.seal = 'ff'),
    (index) => delete index.keys.fit,
    (index) => (index.keys.more = index.keys.fit),
    (index) => (index.keys.fit.file = '../fit.key'),
    (index) => (index.keys.fit.certificate = '/etc/x'),
    (index) => (index.keys.fit.algorithm = 'rsa-512'),
    (index) => (index.keys.fit.pkcs11 = 'pkcs11:token=a;object=b'),
    (index) => (index.keys.fit = { algorithm: 'rsa-2048', pkcs11: 'pkcs11:token=a;object=b' }),
  ];
  for (const change of bad) assert.throws(() => read(change), { code: 'keys/bad-index' });
  const anything = fc.oneof(fc.string(), fc.json());
  fc.assert(fc.property(anything, (text) => assert.throws(() => parseKeyIndex(text, 'keys.json'), MblError)));
});

test('PKCS #11 URIs are read back, and what is not understood is refused', () => {
  const text = fc.string({ minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(text, text, fc.uint8Array({ minLength: 1, maxLength: 8 }), (token, object, id) => {
      fc.pre(token.isWellFormed() && object.isWellFormed());
      const key = { token, object, id: Buffer.from(id).toString('hex') };
      assert.deepEqual(parseTokenUri(tokenUri(key)), key);
    }),
  );
  const bad = [
    '',
    'file:x',
    'pkcs11:',
    'pkcs11:object=a',
    'pkcs11:token=a',
    'pkcs11:token=a;object=b?pin-value=1',
    'pkcs11:token=a;token=b;object=c',
  ];
  for (const uri of bad) assert.throws(() => parseTokenUri(uri), { code: 'keys/bad-uri' }, uri);
});
