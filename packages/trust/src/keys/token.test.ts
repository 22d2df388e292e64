// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isIssuedBy, issueCertificate } from '../certificates.ts';
import { keyNames } from './catalogue.ts';
import { initKeys } from './init.ts';
import { deviceCa, type KeySet, loadKeys, privateKeyFile } from './key-set.ts';

const module = '/usr/lib/softhsm/libsofthsm2.so';
const token = 'mbl test';
const pin = '82731';
let folder: string;
let environment: NodeJS.ProcessEnv;
let keys: KeySet;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mbl-token-'));
  mkdirSync(join(folder, 'tokens'));
  writeFileSync(
    join(folder, 'softhsm2.conf'),
    `directories.tokendir = ${folder}/tokens\nlog.level = ERROR\n`,
  );
  environment = {
    PATH: process.env['PATH'],
    SOFTHSM2_CONF: join(folder, 'softhsm2.conf'),
    MBL_PKCS11_PIN: pin,
  };
  const init = ['--init-token', '--free', '--label', token, '--so-pin', '0000', '--pin', pin];
  execFileSync('softhsm2-util', init, { env: environment, stdio: 'pipe' });
  keys = await initKeys(join(folder, 'keys'), {
    profile: 'production',
    pkcs11: { module, token },
    environment,
  });
});

after(() => rmSync(folder, { recursive: true, force: true }));

test('a production key set lives in the token: no private key in the folder, every key signs', async () => {
  const files = readdirSync(keys.dir).toSorted();
  assert.deepEqual(files, ['README.txt', 'device-ca.crt', 'fit.crt', 'keys.json']);
  for (const file of files)
    assert.doesNotMatch(readFileSync(join(keys.dir, file), 'utf8'), /BEGIN [A-Z ]*PRIVATE KEY/);
  const data = Buffer.from('what is signed');
  for (const name of keyNames) {
    const key = keys.keys[name];
    assert.ok('pkcs11' in key.place);
    const publicKey = createPublicKey(await key.publicKey());
    assert.ok(verify('sha256', data, publicKey, await key.sign(data)), name);
    const signature = await key.signDigest?.(createHash('sha256').update(data).digest());
    assert.ok(signature !== undefined && verify('sha256', data, publicKey, signature), name);
  }
  assert.throws(() => privateKeyFile(keys.keys.fit), { code: 'keys/needs-file' });
});

test('many signatures at once: each is made', async () => {
  const key = keys.keys.bl31;
  const publicKey = createPublicKey(await key.publicKey());
  const all = Array.from({ length: 16 }, (_, i) => Buffer.from(`number ${i}`));
  const signatures = await Promise.all(all.map((data) => key.sign(data)));
  for (const [i, signature] of signatures.entries())
    assert.ok(verify('sha256', all[i] ?? Buffer.alloc(0), publicKey, signature), `number ${i}`);
});

test('the device CA issues from the token', async () => {
  const ca = await deviceCa(keys);
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = { commonName: 'mbl-board-1' };
  const issued = await issueCertificate(ca, {
    subject,
    publicKey,
    usage: 'client',
    notAfter: new Date('2040-01-01'),
  });
  assert.ok(isIssuedBy(issued, ca.certificate));
});

test('a key that somebody else made is found by its label alone', async () => {
  const args = [
    '--module',
    module,
    '--token-label',
    token,
    '--login',
    '--pin',
    'env:MBL_PKCS11_PIN',
    '--keypairgen',
  ];
  execFileSync('pkcs11-tool', [...args, '--key-type', 'EC:prime256v1', '--label', 'our root', '--id', '77'], {
    env: environment,
    stdio: 'pipe',
  });
  const index = JSON.parse(readFileSync(join(keys.dir, 'keys.json'), 'utf8'));
  index.keys['root-of-trust'].pkcs11 = 'pkcs11:token=mbl%20test;object=our%20root;type=private';
  index.keys.bl31.pkcs11 = 'pkcs11:token=mbl%20test;object=nobody';
  mkdirSync(join(folder, 'own'));
  for (const file of ['fit.crt', 'device-ca.crt']) {
    writeFileSync(join(folder, 'own', file), readFileSync(join(keys.dir, file)));
  }
  writeFileSync(join(folder, 'own', 'keys.json'), JSON.stringify(index));
  const own = await loadKeys(join(folder, 'own'), { environment });
  const root = own.keys['root-of-trust'];
  const data = Buffer.from('data');
  assert.ok(verify('sha256', data, createPublicKey(await root.publicKey()), await root.sign(data)));
  assert.notEqual(await root.publicKey(), await keys.keys['root-of-trust'].publicKey());
  await assert.rejects(own.keys.bl31.sign(data), { code: 'keys/no-key' });
  await assert.rejects(own.keys.bl31.publicKey(), { code: 'keys/no-key' });
});

test('each way a token fails has its own error, and nothing is left half-made', async () => {
  const sign = async (change: NodeJS.ProcessEnv) =>
    (await loadKeys(keys.dir, { environment: { ...environment, ...change } })).keys.fit.sign(
      Buffer.from('x'),
    );
  await assert.rejects(sign({ MBL_PKCS11_PIN: 'wrong' }), { code: 'keys/wrong-pin' });
  await assert.rejects(sign({ MBL_PKCS11_PIN: undefined }), {
    code: 'keys/no-pin',
    remedy: /MBL_PKCS11_PIN/,
  });
  await assert.rejects(sign({ MBL_PKCS11_PIN: undefined, MBL_PKCS11_PIN_FILE: '/nowhere' }), {
    code: 'keys/no-pin',
  });
  await assert.rejects(sign({ PATH: '/nowhere' }), { code: 'keys/no-pkcs11-tool' });
  const init = (pkcs11: { module: string; token: string }, change: NodeJS.ProcessEnv = {}) =>
    initKeys(join(folder, 'new'), {
      profile: 'production',
      pkcs11,
      environment: { ...environment, ...change },
    });
  await assert.rejects(init({ module, token }), { code: 'keys/token-occupied' });
  await assert.rejects(init({ module, token: 'absent' }), { code: 'keys/no-token' });
  await assert.rejects(init({ module: '/nowhere.so', token }), { code: 'keys/no-module' });
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.includes('new')),
    [],
  );
});

test('the PIN comes from a file as well', async () => {
  writeFileSync(join(folder, 'pin'), `${pin}\n`);
  const withFile = { ...environment, MBL_PKCS11_PIN: undefined, MBL_PKCS11_PIN_FILE: join(folder, 'pin') };
  const { fit } = (await loadKeys(keys.dir, { environment: withFile })).keys;
  assert.equal((await fit.sign(Buffer.from('x'))).length, 384);
});
