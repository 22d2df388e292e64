// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type CertificateAuthority,
  certificatePem,
  fingerprint,
  isIssuedBy,
  issueCertificate,
  keyFingerprint,
  parseCertificate,
  selfSign,
  subjectOf,
} from './certificates.ts';
import { MblError } from './errors.ts';
import { OpensslPeer } from './testing/openssl-peer.ts';
import { memorySigner } from './signer.ts';

const deviceId = '0199aabbccdd00112233445566778899';

function ecPair() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

async function makeCa(): Promise<CertificateAuthority> {
  const signer = memorySigner(ecPair().privateKey);
  return {
    signer,
    certificate: await selfSign(signer, { subject: { commonName: 'Test CA' }, authority: true }),
  };
}

test('openssl accepts an issued device certificate under strict rules, for clients only', async () => {
  using openssl = new OpensslPeer();
  const ca = await makeCa();
  const certificate = await issueCertificate(ca, {
    subject: { commonName: 'mbl-board-1', locality: deviceId, organizationalUnit: 'account-1' },
    publicKey: ecPair().publicKey,
    usage: 'client',
    notAfter: new Date('2051-06-07T08:09:10Z'),
  });
  const caFile = openssl.file('ca.pem', certificatePem(ca.certificate));
  const file = openssl.file('device.pem', certificatePem(certificate));
  const verify = ['verify', '-x509_strict', '-CAfile', caFile];
  assert.match(openssl.text(...verify, '-purpose', 'sslclient', file), /: OK/);
  assert.throws(() => openssl.run(...verify, '-purpose', 'sslserver', file));
  const text = openssl.text('x509', '-in', file, '-noout', '-subject', '-dates', '-nameopt', 'RFC2253');
  assert.match(text, new RegExp(`subject=CN=mbl-board-1,L=${deviceId},OU=account-1`));
  assert.match(text, /notBefore=Jan {2}1 00:00:00 1970 GMT/);
  assert.match(text, /notAfter=Jun {2}7 08:09:10 2051 GMT/);
});

test('openssl finds host names and addresses in a server certificate', async () => {
  using openssl = new OpensslPeer();
  const ca = await makeCa();
  const hosts = [
    'service.mbl.internal',
    '10.0.2.2',
    '::1',
    'fe80::1:2',
    '2001:db8:1:2:3:4:5:6',
    '::ffff:1.2.3.4',
  ];
  const certificate = await issueCertificate(ca, {
    subject: { commonName: 'service' },
    publicKey: ecPair().publicKey,
    usage: 'server',
    notAfter: new Date('2049-01-01'),
    hosts,
  });
  const caFile = openssl.file('ca.pem', certificatePem(ca.certificate));
  const file = openssl.file('server.pem', certificatePem(certificate));
  const verify = ['verify', '-x509_strict', '-CAfile', caFile, '-purpose', 'sslserver'];
  for (const host of hosts) {
    const check = host === hosts[0] ? '-verify_hostname' : '-verify_ip';
    assert.match(openssl.text(...verify, check, host, file), /: OK/, host);
  }
  assert.throws(() => openssl.run(...verify, '-verify_ip', '10.0.2.3', file));
  assert.equal(certificate.checkHost('service.mbl.internal'), 'service.mbl.internal');
});

test('a self-signed RSA certificate names its key, is no authority, and openssl verifies it', async () => {
  using openssl = new OpensslPeer();
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const certificate = await selfSign(memorySigner(privateKey), {
    subject: { commonName: 'fit' },
    authority: false,
  });
  const file = openssl.file('fit.crt', certificatePem(certificate));
  assert.match(openssl.text('verify', '-CAfile', file, file), /: OK/);
  assert.equal(certificate.ca, false);
  assert.equal(keyFingerprint(certificate.publicKey), keyFingerprint(publicKey));
  assert.equal(
    openssl.text('x509', '-in', file, '-pubkey', '-noout'),
    createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }),
  );
});

test('subject and fingerprint of a foreign certificate, also with several attributes in one set', async () => {
  using openssl = new OpensslPeer();
  const subject = '/C=DE/O=Ö GmbH/OU=unit/CN=it is me+L=place';
  openssl.run(
    'req',
    '-x509',
    '-utf8',
    '-multivalue-rdn',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    'key.pem',
    '-out',
    'cert.pem',
    '-subj',
    subject,
  );
  const certificate = parseCertificate(openssl.run('x509', '-in', 'cert.pem'));
  assert.deepEqual(subjectOf(certificate.raw), {
    organization: 'Ö GmbH',
    organizationalUnit: 'unit',
    commonName: 'it is me',
    locality: 'place',
  });
  const printed = openssl.text('x509', '-in', 'cert.pem', '-noout', '-fingerprint', '-sha256');
  assert.equal(printed.split('=')[1]?.trim().replaceAll(':', '').toLowerCase(), fingerprint(certificate.raw));
});

test('a subject that two readers could understand differently is refused', async () => {
  using openssl = new OpensslPeer();
  for (const subject of ['/CN=one/CN=two', '/CN=line\nbreak']) {
    openssl.run(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      'key.pem',
      '-out',
      'cert.pem',
      '-subj',
      subject,
    );
    const { raw } = parseCertificate(openssl.run('x509', '-in', 'cert.pem'));
    assert.throws(() => subjectOf(raw), { code: 'trust/malformed' });
  }
});

test('isIssuedBy tells a CA from another of the same name', async () => {
  const [ca, other] = [await makeCa(), await makeCa()];
  const certificate = await issueCertificate(ca, {
    subject: { commonName: 'x' },
    publicKey: ecPair().publicKey,
    usage: 'both',
    notAfter: new Date('2040-01-01'),
  });
  assert.equal(isIssuedBy(certificate, ca.certificate), true);
  assert.equal(isIssuedBy(certificate, other.certificate), false);
});

test('what cannot be a certificate is refused when issuing', async () => {
  const ca = await makeCa();
  const good = {
    subject: { commonName: 'x' },
    publicKey: ecPair().publicKey,
    usage: 'server',
    notAfter: new Date('2040-01-01'),
  } as const;
  await assert.rejects(issueCertificate(ca, { ...good, notAfter: new Date(-1) }), {
    code: 'trust/bad-validity',
  });
  await assert.rejects(issueCertificate(ca, { ...good, notAfter: new Date(Number.NaN) }), {
    code: 'trust/bad-validity',
  });
  await assert.rejects(issueCertificate(ca, { ...good, subject: { commonName: 'x'.repeat(65) } }), {
    code: 'trust/bad-name',
  });
  await assert.rejects(issueCertificate(ca, { ...good, hosts: ['fe80::1%eth0'] }), {
    code: 'trust/bad-name',
  });
});

test('damaged certificates give only our error', async () => {
  const ca = await makeCa();
  const { raw } = ca.certificate;
  fc.assert(
    fc.property(
      fc.nat(raw.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.nat(raw.length),
      (at, flip, length) => {
        const bytes = Buffer.from(raw);
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        for (const damaged of [bytes, bytes.subarray(0, length)]) {
          for (const read of [parseCertificate, subjectOf]) {
            try {
              read(damaged);
            } catch (error) {
              assert.ok(error instanceof MblError, String(error));
            }
          }
        }
      },
    ),
    { numRuns: 2000 },
  );
});
