// SPDX-License-Identifier: Apache-2.0
//
// Production keys in a PKCS#11 token: a board boots what only the token could sign.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { findWorkspace } from '@mbl/cli';
import { readImage } from '@mbl/formats';
import { createBoard } from '@mbl/lab';
import { assertError, mbl, mblJson, temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs } from './support/world.ts';

const run = promisify(execFile);
const limit = 1_800_000;
const module = '/usr/lib/softhsm/libsofthsm2.so';
const token = 'factory';
const pin = '594372';

describe('keys in a token', { timeout: limit }, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let keys: string;
  let environment: Record<string, string | undefined>;
  let directory: string;

  before(async () => {
    folder = await temporaryFolder();
    keys = join(folder.path, 'keys');
    await mkdir(join(folder.path, 'tokens'));
    const configuration = join(folder.path, 'softhsm2.conf');
    await writeFile(configuration, `directories.tokendir = ${folder.path}/tokens\nlog.level = ERROR\n`);
    const own = findWorkspace();
    environment = {
      SOFTHSM2_CONF: configuration,
      MBL_STATE: join(folder.path, 'state'),
      MBL_CACHE: own.cache,
      MBL_PKCS11_PIN: pin,
    };
    const init = ['--init-token', '--free', '--label', token, '--so-pin', '0000', '--pin', pin];
    await run('softhsm2-util', init, { env: { ...process.env, SOFTHSM2_CONF: configuration } });
  });
  after(async () => await folder[Symbol.asyncDispose]());

  test('are made there, and no file holds one', async () => {
    const made = await mbl(
      ['keys', 'init', '--production', '--pkcs11-module', module, '--token', token, '--keys', keys],
      { environment },
    );
    assert.equal(made.code, 0, made.stderr);
    assert.doesNotMatch(made.stdout + made.stderr, /plain files/);
    await assertNoPrivateKey(keys);
  });

  test('are asked for at once: without the PIN, or with a wrong one, nothing is compiled', async () => {
    const build = async (value: string | undefined) =>
      await mbl(['build', '--image', 'production', '--keys', keys], {
        environment: { ...environment, MBL_PKCS11_PIN: value },
        timeout: limit,
      });
    assertError(await build('111111'), 'keys/wrong-pin', /the PIN of token "factory" is wrong/);
    assertError(await build(undefined), 'keys/no-pin', /MBL_PKCS11_PIN/);
  });

  test('sign no image with a login, whatever it is called and whoever it comes from', async () => {
    const layer = join(folder.path, 'layer');
    await mkdir(join(layer, 'images'), { recursive: true });
    await writeFile(join(layer, 'layer.yaml'), 'name: acme\nimages: images\n');
    const renamed = 'extends: development\ntitle: Quiet\nlogin: { console: none, ssh: none }\n';
    await writeFile(join(layer, 'images/quiet.yaml'), renamed);
    const attempt = async (...args: string[]) =>
      await mbl(['build', '--keys', keys, ...args], { environment, timeout: limit });
    assertError(
      await attempt(),
      'builder/login-refused',
      /image development says login: \{ console: getty \}/,
    );
    assertError(
      await attempt('--image', 'quiet', '--layer', layer),
      'builder/login-refused',
      /\/usr\/sbin\/sshd \(package openssh-server\)/,
    );
    assert.deepEqual(await readdir(join(folder.path, 'state', 'build')).catch(() => []), []);
  });

  test('sign an image, which says so, and still no file holds one', async () => {
    ({ directory } = await mblJson<{ directory: string }>(
      ['build', '--image', 'production', '--keys', keys],
      { environment, timeout: limit },
    ));
    assert.equal((await readImage(directory))?.keys, 'production');
    await assertNoPrivateKey(folder.path);
  });

  test('are the ones that every certificate of the firmware is signed with', async () => {
    const publicKeys = new Map<string, KeyObject>();
    for (const name of ['root-of-trust', 'trusted-world', 'non-trusted-world', 'bl31', 'bl32', 'bl33'])
      publicKeys.set(name, await readPublicKey(name, environment));
    const signers = certificatesOf(await readFile(join(directory, 'flash.bin'))).map((certificate) => {
      const [signer] = [...publicKeys].find(([, key]) => certificate.verify(key)) ?? [];
      assert.ok(signer !== undefined, `a key of the token signed ${certificate.subject}`);
      return signer;
    });
    assert.deepEqual([...new Set(signers)].toSorted(), [...publicKeys.keys()].toSorted());
  });

  test('start a board: firmware, kernel and root are accepted', async () => {
    await using board = await createBoard({
      directory: join(folder.path, 'board'),
      name: 'hsm',
      imageDirectory: directory,
    });
    await board.start();
    await board.serial.waitFor(/sha256,rsa3072:fit\+ OK/, { timeoutMs: bootTimeoutMs });
    await board.serial.waitFor(/mbl-init: root file system root_a opened by dm-verity/, {
      timeoutMs: bootTimeoutMs,
    });
    const said = (await board.serial.lines()).map(({ text }) => text);
    assert.ok(!said.some((text) => /signed with .* keys/.test(text)), 'nothing of development');
  });

  test('leave the certificates of devices to a CA of the service, and `up` says so', async () => {
    try {
      // The board need not come online for that.
      const { stderr } = await mbl(['up', '--image', 'production', '--keys', keys, '--timeout', '1'], {
        environment,
        timeout: limit,
      });
      const [, authority] = /device-ca is in a token, .* in (\/.*)\.$/m.exec(stderr) ?? [];
      assert.ok(authority !== undefined, stderr);
      assert.match(await readFile(join(authority, 'device-ca.pem'), 'utf8'), /BEGIN CERTIFICATE/);
    } finally {
      await mbl(['down'], { environment, timeout: limit });
    }
  });

  async function assertNoPrivateKey(path: string): Promise<void> {
    for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
      const file = join(entry.parentPath, entry.name);
      if (!entry.isFile() || /\.(bin|img)$/.test(file)) continue;
      assert.doesNotMatch(await readFile(file, 'latin1'), /BEGIN [A-Z ]*PRIVATE KEY/, file);
    }
  }
});

/** What the token itself says its public key is. */
async function readPublicKey(
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<KeyObject> {
  const select = ['--token-label', token, '--read-object', '--type', 'pubkey', '--label', `mbl-${name}`];
  const { stdout } = await run('pkcs11-tool', ['--module', module, ...select], {
    encoding: 'buffer',
    env: { ...process.env, ...environment },
  });
  return createPublicKey({ key: stdout, format: 'der', type: 'spki' });
}

/** The certificates in the FIP of a flash (TF-A, "Firmware Image Package": header of 16 bytes, entries of 40). */
function certificatesOf(flash: Buffer): X509Certificate[] {
  const fip = flash.subarray(flash.indexOf(Buffer.from('010064aa', 'hex')));
  const found: X509Certificate[] = [];
  for (let at = 16; ; at += 40) {
    const [offset, size] = [Number(fip.readBigUInt64LE(at + 16)), Number(fip.readBigUInt64LE(at + 24))];
    // The UUID of nothing ends the table; OP-TEE's last part may have a size of nothing.
    if (fip.subarray(at, at + 16).every((byte) => byte === 0)) return found;
    const payload = fip.subarray(offset, offset + size);
    // A DER sequence with a length of two bytes: nothing else in a FIP starts so.
    if (size > 2 && payload.readUInt16BE(0) === 0x3082) found.push(new X509Certificate(payload));
  }
}
