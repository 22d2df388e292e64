// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyFingerprint } from './certificates.ts';
import { MblError } from './errors.ts';
import { OpensslPeer } from './testing/openssl-peer.ts';
import { createRequest, parseRequest } from './requests.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

test('openssl verifies our request and reads its subject', () => {
  using openssl = new OpensslPeer();
  const file = openssl.file('request.pem', createRequest(privateKey, { commonName: 'mbl-board-1' }).pem);
  openssl.run('req', '-in', file, '-verify', '-noout');
  assert.match(openssl.text('req', '-in', file, '-noout', '-subject'), /CN ?= ?mbl-board-1/);
});

test('requests that openssl makes are read: EC and RSA, with attributes', () => {
  using openssl = new OpensslPeer();
  const kinds = [
    ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384'],
    ['rsa:2048', '-addext', 'subjectAltName=DNS:a.example'],
    ['ed25519'],
  ];
  for (const kind of kinds) {
    openssl.run(
      'req',
      '-new',
      '-nodes',
      '-keyout',
      'k.pem',
      '-newkey',
      ...kind,
      '-subj',
      '/O=o/CN=n',
      '-out',
      'r.pem',
    );
    const request = parseRequest(openssl.run('req', '-in', 'r.pem', '-outform', 'DER'));
    assert.deepEqual(request.subject, { organization: 'o', commonName: 'n' });
    assert.ok(request.publicKey.asymmetricKeyType !== undefined);
  }
});

test('weak and foreign keys are refused', () => {
  using openssl = new OpensslPeer();
  const kinds = [['rsa:1024'], ['ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1']];
  for (const kind of kinds) {
    openssl.run(
      'req',
      '-new',
      '-nodes',
      '-keyout',
      'k.pem',
      '-newkey',
      ...kind,
      '-subj',
      '/CN=n',
      '-out',
      'r.pem',
    );
    const bytes = openssl.run('req', '-in', 'r.pem', '-outform', 'DER');
    assert.throws(() => parseRequest(bytes), { code: 'trust/unsupported-key' });
  }
});

test('a request for a key that its sender does not hold is refused', () => {
  const mine = createRequest(privateKey, { commonName: 'a' }).der;
  const other = createRequest(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, {
    commonName: 'a',
  }).der;
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const at = mine.indexOf(spki);
  const forged = Buffer.concat([other.subarray(0, at), spki, other.subarray(at + spki.length)]);
  assert.throws(() => parseRequest(forged), { code: 'trust/proof-of-possession' });
});

test('reading what was written', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9._:-]{1,64}$/), (commonName) => {
      const request = parseRequest(createRequest(privateKey, { commonName }).der);
      assert.equal(request.subject.commonName, commonName);
      assert.equal(keyFingerprint(request.publicKey), keyFingerprint(publicKey));
    }),
    { numRuns: 50 },
  );
});

test('any bytes, and any damage, give only our error, and damage is never accepted', () => {
  const good = createRequest(privateKey, { commonName: 'mbl-board-1' }).der;
  const refused = (bytes: Uint8Array) => assert.throws(() => parseRequest(bytes), MblError);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), refused), { numRuns: 1000 });
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ flip;
      refused(bytes);
    }),
    { numRuns: 1500 },
  );
  refused(Buffer.alloc(70_000, 0x30));
});
