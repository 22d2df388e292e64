// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { MblError } from '../errors.ts';
import { memorySigner } from '../signer.ts';
import { tbbrCertificates } from './chain.ts';
import { readTbbrCertificate } from './read-certificate.ts';

const signer = (): ReturnType<typeof memorySigner> =>
  memorySigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
const keys = {
  rootOfTrust: signer(),
  trustedWorld: signer(),
  nonTrustedWorld: signer(),
  bl31: signer(),
  bl32: signer(),
  bl33: signer(),
};
const bytes = (text: string): Buffer => Buffer.from(text);
const certificates = await tbbrCertificates(
  keys,
  { bl2: bytes('bl2'), bl31: bytes('bl31'), bl32: [bytes('a'), bytes('b'), bytes('c')], bl33: bytes('bl33') },
  { trusted: 7, nonTrusted: 0x80000000 },
);

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
const der = async (key: ReturnType<typeof memorySigner>): Promise<Buffer> =>
  createPublicKey(await key.publicKey()).export({ type: 'spki', format: 'der' });

test('a certificate gives back its key, its counter and the hashes that it vouches for', async () => {
  const read = readTbbrCertificate(certificates['tb-fw-cert']);
  assert.deepEqual(Buffer.from(read.publicKey), await der(keys.rootOfTrust));
  assert.deepEqual(
    read.extensions.map(({ counter, image }) => counter ?? image),
    [7, sha256(bytes('bl2')), ...Array.from({ length: 3 }, () => '0'.repeat(64))],
  );
});

test('a key certificate gives back the keys that it vouches for', async () => {
  const read = readTbbrCertificate(certificates['trusted-key-cert']);
  assert.deepEqual(
    read.extensions.map(({ key }) => key),
    [undefined, sha256(await der(keys.trustedWorld)), sha256(await der(keys.nonTrustedWorld))],
  );
  const other = readTbbrCertificate(certificates['nt-fw-key-cert']);
  assert.equal(other.extensions[0]?.counter, 0x80000000);
});

test('two certificates of the same kind and different keys have the same frame', async () => {
  const foreign = await tbbrCertificates(
    { ...keys, rootOfTrust: signer() },
    { bl2: bytes('2'), bl31: bytes('31'), bl32: [bytes('a'), bytes('b'), bytes('c')], bl33: bytes('33') },
    { trusted: 0, nonTrusted: 0 },
  );
  const [a, b] = [certificates, foreign].map((set) => readTbbrCertificate(set['tb-fw-cert']));
  assert.deepEqual(a?.frame, b?.frame);
  assert.notDeepEqual(a?.signature, b?.signature);
  assert.notDeepEqual(a?.frame, readTbbrCertificate(certificates['soc-fw-cert']).frame);
});

test('bytes of any origin are read or refused', () => {
  const good = certificates['tos-fw-cert'];
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
      const changed = Buffer.from(good).subarray(0, Math.max(length, at));
      if (at < changed.length) changed[at] = value;
      try {
        readTbbrCertificate(changed);
      } catch (error) {
        assert.ok(error instanceof MblError && error.code === 'trust/malformed', String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
