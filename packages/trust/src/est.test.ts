// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { certificatePem, parseCertificate, selfSign } from './certificates.ts';
import { MblError } from './errors.ts';
import { decodeCertsOnly, decodeEstBody, encodeCertsOnly, encodeEstBody } from './est.ts';
import { OpensslPeer } from './testing/openssl-peer.ts';
import { memorySigner } from './signer.ts';

async function certificate(commonName: string) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return selfSign(memorySigner(privateKey), { subject: { commonName }, authority: true });
}

test('openssl reads our certs-only message', async () => {
  using openssl = new OpensslPeer();
  const two = [await certificate('one'), await certificate('two')];
  const file = openssl.file('certs.p7', encodeCertsOnly(two));
  const text = openssl.text('pkcs7', '-inform', 'DER', '-in', file, '-print_certs');
  assert.match(text, /CN ?= ?one[^]*CN ?= ?two/);
  for (const one of two) assert.ok(text.includes(certificatePem(one)));
});

test("openssl's certs-only message is read", async () => {
  using openssl = new OpensslPeer();
  const one = await certificate('one');
  const file = openssl.file('one.pem', certificatePem(one));
  const bytes = openssl.run('crl2pkcs7', '-nocrl', '-certfile', file, '-outform', 'DER');
  assert.deepEqual(
    decodeCertsOnly(bytes).map((found) => found.raw),
    [one.raw],
  );
});

test('an EST body is base64 in lines, and is read with any line ends', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), (bytes) => {
      const body = encodeEstBody(bytes);
      assert.ok(body.split('\r\n').every((line) => line.length <= 76));
      assert.deepEqual(decodeEstBody(Buffer.from(body)), Buffer.from(bytes));
      assert.deepEqual(decodeEstBody(body.replaceAll('\r\n', '\n')), Buffer.from(bytes));
    }),
  );
});

test('bodies that are no base64, empty or too long are refused', () => {
  for (const body of ['', 'abc', 'ab=c', 'a-b_', '====', 'A'.repeat(200_000), Buffer.alloc(4, 0xff)]) {
    assert.throws(() => decodeEstBody(body), { code: 'trust/malformed' });
  }
});

test('damaged messages give only our error', async () => {
  const good = encodeCertsOnly([await certificate('one')]);
  const only = (read: () => unknown) => {
    try {
      read();
    } catch (error) {
      assert.ok(error instanceof MblError, String(error));
    }
  };
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ flip;
      only(() => decodeCertsOnly(bytes));
    }),
    { numRuns: 1500 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => only(() => decodeCertsOnly(bytes))));
  assert.throws(() => decodeCertsOnly(encodeCertsOnly([])), { code: 'trust/malformed' });
  assert.throws(() => parseCertificate('no'), { code: 'trust/malformed' });
});
