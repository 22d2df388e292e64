// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isIssuedBy, parseCertificate } from '@mbl/trust';
import { ensureAuthority, ensureServiceIdentity } from './authorities.ts';

let work = '';
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'mbl-authorities-'));
});
after(async () => await rm(work, { recursive: true, force: true }));

test("the service's certificate stays for whoever pinned it, and its key when the hosts change", async () => {
  const ca = await ensureAuthority(work, 'service-ca', 'CA');
  const first = await ensureServiceIdentity(work, ca, ['127.0.0.1', 'gateway.example']);
  assert.deepEqual(await ensureServiceIdentity(work, ca, ['gateway.example']), first);
  assert.equal((await stat(join(work, 'service.key'))).mode & 0o777, 0o600);
  const moved = await ensureServiceIdentity(work, ca, ['2001:db8::1']);
  assert.notEqual(moved.cert, first.cert);
  assert.equal(moved.key, first.key);
  const certificate = parseCertificate(moved.cert);
  assert.ok(
    certificate.checkIP('2001:db8::1') !== undefined &&
      certificate.checkHost('gateway.example') === undefined,
  );
  assert.ok(certificate.checkPrivateKey(createPrivateKey(moved.key)));

  const other = await ensureAuthority(join(work, 'other'), 'service-ca', 'CA');
  await assert.rejects(
    writeFile(join(work, 'service.key'), 'no key').then(() => ensureServiceIdentity(work, other, [])),
    { code: 'service/ca-unreadable' },
  );
  await rm(join(work, 'service.key'));
  const anew = await ensureServiceIdentity(work, other, ['2001:db8::1']);
  assert.ok(parseCertificate(anew.cert).checkIssued(other.certificate), 'another CA signs another one');
});

test('an authority of which a part is lost or wrong: its key is never replaced', async () => {
  const folder = join(work, 'parts');
  const first = await ensureAuthority(folder, 'device-ca', 'CA');
  const paths = ['key', 'pem'].map((end) => join(folder, `device-ca.${end}`));
  const [keyPath = '', certificatePath = ''] = paths;
  const [key = '', certificate = ''] = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  const { cert } = await ensureServiceIdentity(folder, first, []);
  await rm(certificatePath);
  const again = await ensureAuthority(folder, 'device-ca', 'CA');
  assert.equal(await readFile(keyPath, 'utf8'), key);
  assert.ok(isIssuedBy(parseCertificate(cert), again.certificate), 'what it signed before is good');

  for (const wrong of ['', certificate.replace(/[A-Z]/, '!'), cert]) {
    await writeFile(certificatePath, wrong);
    await assert.rejects(ensureAuthority(folder, 'device-ca', 'CA'), { code: 'service/ca-unreadable' });
  }
  await rm(keyPath);
  await assert.rejects(ensureAuthority(folder, 'device-ca', 'CA'), { code: 'service/ca-incomplete' });
});

test('a certificate of the service that cannot be read is made anew, for the same key', async () => {
  const folder = join(work, 'unreadable');
  const ca = await ensureAuthority(folder, 'service-ca', 'CA');
  const { key } = await ensureServiceIdentity(folder, ca, []);
  for (const text of ['', 'none', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
    await writeFile(join(folder, 'service.pem'), text);
    const anew = await ensureServiceIdentity(folder, ca, []);
    assert.equal(anew.key, key);
    assert.ok(isIssuedBy(parseCertificate(anew.cert), ca.certificate));
  }
});
