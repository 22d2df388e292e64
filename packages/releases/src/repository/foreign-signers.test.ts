// SPDX-License-Identifier: Apache-2.0
//
// Signatures that other programs make: openssl on a machine of its own, a PKCS #11 token.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openSigner } from '@mbl/trust';
import { now, SyntheticRepository } from '../testing/synthetic-repository.ts';
import { metadataSigner, tufKey } from '../tuf/keys.ts';
import { changeRole } from './edit.ts';
import { attachSignature, exportToSign } from './sign.ts';

const folder = await mkdtemp(join(tmpdir(), 'mbl-signers-'));
after(() => rm(folder, { recursive: true, force: true }));

const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });

for (const [kind, make, sign] of [
  [
    'Ed25519',
    ['-algorithm', 'ed25519'],
    ['pkeyutl', '-sign', '-rawin', '-inkey', 'team.pem', '-in', 'bytes', '-out', 'sig'],
  ],
  [
    'P-256',
    ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    ['dgst', '-sha256', '-sign', 'team.pem', '-out', 'sig', 'bytes'],
  ],
] as const) {
  test(`openssl signs the exported bytes with an ${kind} key, and a device accepts the release`, async () => {
    await using repository = await SyntheticRepository.open();
    const { state, keys } = repository;
    openssl('genpkey', ...make, '-out', 'team.pem');
    openssl('pkey', '-in', 'team.pem', '-pubout', '-out', 'team.pub');
    const key = tufKey(await readFile(join(folder, 'team.pub'), 'utf8'));
    changeRole(state, 'os', { add: [key], remove: [keys.targets.key.id] }, now);
    await repository.release('1.0');
    assert.deepEqual((await repository.sign()).waiting, ['os']);
    await writeFile(join(folder, 'bytes'), exportToSign(state, 'os'));
    openssl(...sign);
    attachSignature(state, 'os', key.id, await readFile(join(folder, 'sig')));
    assert.deepEqual((await repository.sign()).waiting, []);
    assert.ok(await (await repository.client()).find('os/releases/1.0.json'));
  });
}

test('a key in a token signs, and a device accepts the release', async () => {
  await mkdir(join(folder, 'tokens'));
  await writeFile(
    join(folder, 'softhsm2.conf'),
    `directories.tokendir = ${folder}/tokens\nlog.level = ERROR\n`,
  );
  const module = '/usr/lib/softhsm/libsofthsm2.so';
  const environment = {
    PATH: process.env['PATH'],
    SOFTHSM2_CONF: join(folder, 'softhsm2.conf'),
    MBL_PKCS11_PIN: '82731',
  };
  const options = { env: environment, stdio: 'pipe' } as const;
  execFileSync(
    'softhsm2-util',
    ['--init-token', '--free', '--label', 'team', '--so-pin', '0000', '--pin', '82731'],
    options,
  );
  const made = ['--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'os', '--id', '01'];
  execFileSync(
    'pkcs11-tool',
    ['--module', module, '--token-label', 'team', '--login', '--pin', '82731', ...made],
    options,
  );
  const signer = await metadataSigner(
    await openSigner({ pkcs11: 'pkcs11:token=team;object=os', module }, { environment }),
  );
  await using repository = await SyntheticRepository.open();
  const { state, keys } = repository;
  changeRole(state, 'os', { add: [signer.key], remove: [keys.targets.key.id] }, now);
  await repository.release('1.0');
  assert.deepEqual((await repository.sign([...repository.signers, signer])).waiting, []);
  assert.ok(await (await repository.client()).find('os/releases/1.0.json'));
});

test('a key that TUF does not take is refused by name', async () => {
  openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', 'rsa.pem');
  openssl('pkey', '-in', 'rsa.pem', '-pubout', '-out', 'rsa.pub');
  const pem = await readFile(join(folder, 'rsa.pub'), 'utf8');
  assert.throws(() => tufKey(pem), { code: 'release/bad-key' });
  assert.throws(() => tufKey('nonsense'), { code: 'release/bad-key' });
});
