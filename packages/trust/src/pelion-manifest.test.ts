// SPDX-License-Identifier: Apache-2.0
//
// The manifests, the key and the certificate were made with PelionIoT's manifest-tool 2.6.2 and OpenSSL.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { der, octetString, sequence, unsignedInteger, utf8String } from './der.ts';
import { MblError } from './errors.ts';
import { type PelionManifest, readManifest1, readManifest3 } from './pelion-manifest.ts';

const manifest3 = Buffer.from(
  `MIHMCgEDMIGEBBDPv/DRk3VWhZaMSM6LFa4XBBARWyKx4WFa85JveyaWM5MsAgEHDARNQUlODAUxLjIuMwQgxKcA+Ft+nlzb3FEXBAnuKtSL6+Ly8JV6Bnk3
UxoKPEICAgfQDCNodHRwczovL3VwZGF0ZXMuZXhhbXBsZS9wYXlsb2FkLmJpbgoBAQQABEAOlEC3gWQHvLrjJ5sw9/XcSJ3Zy0xea0KIbYsDwakS7PGCxi5e
Nc/Zxc5IwaT3/2gX8r5IYqbO/dpX/ovgUaPq`,
  'base64',
);
const manifest1 = Buffer.from(
  `MIIBPjCBoQoBADCBmwoBAQIEZVPxAAQQz7/w0ZN1VoWWjEjOixWuFwQQEVsiseFhWvOSb3smljOTLAQABAAEAAEB/wIBBwoBAjAAMAAwWQoBAQwHZGVmYXVs
dDBLBCDEpwD4W36eXNvcURcECe4q1Ivr4vLwlXoGeTdTGgo8QgwjaHR0cHM6Ly91cGRhdGVzLmV4YW1wbGUvcGF5bG9hZC5iaW4CAgfQMIGXBCCXbz0p8RoY
aE9PMOdHSF7mi6BUAYU6TylNtD1EFLq6KzBzMHEERzBFAiARgQDINWemH0jC5cvO31RYqCMekFUnqNIL3ghDUVxAUQIhAIuawsNpVUrT5Nh2vai3VHrUx5Yc
9zTp2Da5RfNRfXrQMCYwJAQgSVvKNysYde2qPzZtt+V82gslk2Y1y7A4P0VQpf8lcsoMAA==`,
  'base64',
);
const certificate = new X509Certificate(`-----BEGIN CERTIFICATE-----
MIIBdjCCAR2gAwIBAgIUFk23yjDBgTj5av86OptX2zrVWnkwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGdXBkYXRlMB4XDTI2MTEzMDEzMzEyNloXDTQ2MDEyOTEzMzEy
NlowETEPMA0GA1UEAwwGdXBkYXRlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
3S5MK47nBZq+RN5zbqREHBbi6v8Y1hIFO7hf508XpakNM5RaG+a65lW2JKov+gfe
fUzJwPOlzmoWdp7j4+GKFaNTMFEwHQYDVR0OBBYEFJ2zdw+PIfUv7pRHd+MK/tJY
R/P4MB8GA1UdIwQYMBaAFJ2zdw+PIfUv7pRHd+MK/tJYR/P4MA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgHkeCK8F9DNBOQoiRoh+ExLztOWLHabE1
qbnx4Z+SAnACIGoq3YjZIX1JzycpkEUsDV0621cilRtNt7PJy03Hw132
-----END CERTIFICATE-----`);
const key = certificate.publicKey;
const plain = (manifest: PelionManifest) => ({
  ...manifest,
  vendorData: Uint8Array.from(manifest.vendorData),
});
const ids = { vendorId: 'cfbff0d193755685968c48ce8b15ae17', classId: '115b22b1e1615af3926f7b269633932c' };
const payload = {
  uri: 'https://updates.example/payload.bin',
  size: 2000,
  digest: 'c4a700f85b7e9e5cdbdc51170409ee2ad48bebe2f2f0957a067937531a0a3c42',
  format: 'raw',
};

test('manifests of the tool are read', () => {
  assert.deepEqual(plain(readManifest3(manifest3, key)), {
    schema: 3,
    ...ids,
    version: '1.2.3',
    component: 'MAIN',
    priority: 7,
    payload,
    vendorData: new Uint8Array(),
  });
  assert.deepEqual(plain(readManifest1(manifest1, certificate)), {
    schema: 1,
    ...ids,
    version: '1700000000',
    component: '',
    priority: 7,
    payload,
    vendorData: new Uint8Array(),
  });
});

test('no byte of one can be changed, and nobody else may have signed it', () => {
  const refused = (read: () => unknown, what: string) =>
    assert.throws(read, (error) => error instanceof MblError, what);
  for (const [bytes, read] of [
    [manifest3, (changed: Buffer) => readManifest3(changed, key)],
    [manifest1, (changed: Buffer) => readManifest1(changed, certificate)],
  ] as const)
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      refused(() => read(changed), `byte ${at}`);
    }
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  assert.throws(() => readManifest3(manifest3, stranger), { code: 'trust/bad-signature' });
  assert.throws(() => readManifest3(manifest1, key), { code: 'trust/malformed' });
});

test('a delta says what it is made from; a key that a server appended is left to the device', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const digest = (of: number) => octetString(Buffer.alloc(32, of));
  const enumerated = (value: number) => der(0x0a, Buffer.from([value]));
  const signed = sequence(
    octetString(Buffer.alloc(16, 1)),
    octetString(Buffer.alloc(16, 2)),
    unsignedInteger(Buffer.from([0])),
    utf8String('MAIN'),
    utf8String('1.2.4'),
    digest(3),
    unsignedInteger(Buffer.from([0x01, 0x00])),
    utf8String('https://updates.example/delta'),
    enumerated(5),
    octetString(Buffer.alloc(64)),
    sequence(unsignedInteger(Buffer.from([0x0f, 0xa0])), digest(4), digest(5)),
    octetString(Buffer.from('for the device')),
  );
  const signature = octetString(sign('sha256', signed, { key: privateKey, dsaEncoding: 'ieee-p1363' }));
  const appended = der(0x81, Buffer.alloc(16, 9));
  for (const more of [[], [appended]]) {
    const read = readManifest3(
      sequence(enumerated(3), signed, signature, ...more),
      createPublicKey(publicKey.export({ type: 'spki', format: 'pem' })),
    );
    assert.deepEqual(read.payload.installed, {
      size: 4000,
      digest: '04'.repeat(32),
      precursorDigest: '05'.repeat(32),
    });
    assert.equal(read.payload.format, 'delta');
    assert.equal(Buffer.from(read.vendorData).toString(), 'for the device');
  }
  assert.throws(
    () => readManifest3(sequence(enumerated(3), signed, signature, appended, appended), publicKey),
    {
      code: 'trust/malformed',
    },
  );
});

test('whatever comes, it is read or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(manifest1.length - 1), (noise, at) => {
      for (const bytes of [
        noise,
        Buffer.concat([manifest1.subarray(0, at), noise]),
        Buffer.concat([manifest3.subarray(0, at % manifest3.length), noise]),
      ])
        for (const read of [() => readManifest1(bytes, certificate), () => readManifest3(bytes, key)])
          assert.throws(read, (error) => error instanceof MblError);
    }),
    { numRuns: 200 },
  );
});
