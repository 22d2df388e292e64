// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { initKeys } from '@mbl/trust';
import { runProgram } from '../../program.ts';
import { testCli } from '../../testing/cli.ts';
import { makeImageFolder } from '../../testing/image-folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-release-'));
const releases = join(folder, 'state/releases');
const workspace = { state: join(folder, 'state'), build: join(folder, 'build') };

before(async () => {
  await initKeys(join(folder, 'state/keys'), { profile: 'development' });
  makeImageFolder(join(folder, 'build/qemu-arm64-development'), 1);
  makeImageFolder(join(folder, 'other'), 2);
});

after(() => rmSync(folder, { recursive: true, force: true }));

async function mbl(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const { cli, stdout, stderr } = testCli({ workspace });
  const code = await runProgram(cli, words);
  return { code, out: stdout(), err: stderr() };
}

async function json(...words: string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await mbl(...words, '--json');
  assert.equal(code, 0, err);
  return JSON.parse(out) as Record<string, unknown>;
}

test('a release is made of an image, signed with the key set, and verified as by a device', async () => {
  const made = await mbl('release', 'create', '1.0', '--notes', 'The first.');
  assert.equal(made.code, 0, made.err);
  assert.match(made.out, /qemu-arm64 +kernel +6\.12\.1 +100 B/);
  assert.match(made.err, /\.\/mbl release sign/);
  const unsigned = await mbl('release', 'verify', '--json');
  assert.match(unsigned.err, /cli\/no-root/);
  const signed = await mbl('release', 'sign');
  assert.equal(signed.code, 0, signed.err);
  assert.match(signed.out, /1\.os\.json[^]*1\.targets\.json|1\.targets\.json[^]*1\.os\.json/);
  assert.match(signed.out, /timestamp\.json\n$/);
  const verified = await mbl('release', 'verify');
  assert.equal(verified.code, 0, verified.err);
  assert.equal(
    verified.out,
    'os 1.0 for qemu-arm64: a board with development keys would install it\n3 components, 4.5 KiB: each is what was signed\n',
  );
});

test('a release is packed into one file, which any tar reads', async () => {
  const file = join(folder, 'release.tar');
  const { bytes } = await json('release', 'package', '1.0', file);
  assert.equal(statSync(file).size, bytes);
  const names = execFileSync('tar', ['-tf', file]).toString().split('\n');
  assert.deepEqual([names[0], names.at(-1)], ['release.txt', '']);
  for (const name of names.slice(1, -1)) {
    const packed = execFileSync('tar', ['-xOf', file, name]);
    assert.ok(packed.equals(readFileSync(join(releases, name))), name);
  }
  assert.ok(names.includes('metadata/timestamp.json') && names.some((name) => name.endsWith('root.payload')));
  const again = join(folder, 'again.tar');
  await json('release', 'package', '1.0', again);
  assert.ok(readFileSync(again).equals(readFileSync(file)));
  assert.match((await mbl('release', 'package', '9.9', file)).err, /no published release 9\.9/);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.part')),
    [],
  );
});

test('a second release stands beside the first; what was seen before is not taken back', async () => {
  const seen = join(folder, 'seen');
  const old = join(folder, 'old');
  cpSync(releases, old, { recursive: true });
  await json(
    'release',
    'create',
    '1.1',
    join(folder, 'other'),
    '--rollback-index',
    '2',
    '--component',
    'boot-firmware',
  );
  const { published, waiting } = await json('release', 'sign');
  assert.deepEqual(published, ['2.os.json', '2.snapshot.json', 'timestamp.json']);
  assert.deepEqual(waiting, []);
  const verified = await json('release', 'verify', '--state', seen);
  assert.deepEqual(
    (verified['releases'] as { name: string }[]).map(({ name }) => name),
    ['1.0', '1.1'],
  );
  const replayed = await mbl('release', 'verify', old, '--state', seen);
  assert.equal(replayed.code, 1);
  assert.match(replayed.err, /release\/rolled-back/);
  assert.equal((await mbl('release', 'verify', old)).code, 0);
});

test('what a device would refuse is refused', async () => {
  const refused = async (code: string, ...words: string[]) => {
    const { code: exit, err } = await mbl('release', 'verify', ...words);
    assert.equal(exit, 1);
    assert.ok(err.includes(`[${code}]`), `${words.join(' ')}: ${err}`);
  };
  await refused('release/wrong-machine', '--release', '1.0', '--machine', 'other');
  await refused('release/wrong-keys', '--release', '1.0', '--board-keys', 'production');
  await refused('release/too-old', '--release', '1.0', '--rollback-index', '1');
  await refused('release/unknown-release', '--release', '2.0');
  await refused('release/expired', '--at', '2199-01-01');
  const changed = join(folder, 'changed');
  cpSync(releases, changed, { recursive: true });
  const components = join(changed, 'targets/os/components');
  for (const digest of readdirSync(components))
    for (const file of readdirSync(join(components, digest)))
      if (file.endsWith('.root.img')) writeFileSync(join(components, digest, file), 'x');
  await refused('release/wrong-content', changed);
  assert.match((await mbl('release', 'create', '../x')).err, /is invalid for argument 'release'/);
  assert.match((await mbl('release', 'create', '1.0', join(folder, 'other'))).err, /release\/exists/);
  assert.match((await mbl('release', 'create', '1.2', '--component', 'kernel')).err, /release\/incomplete/);
});

test('a signature made elsewhere is put onto what was exported', async () => {
  await json('release', 'create', '1.2', join(folder, 'other'));
  const bytes = join(folder, 'os.bytes');
  await json('release', 'sign', '--role', 'os', '--export', bytes);
  const { createPrivateKey, createPublicKey, sign } = await import('node:crypto');
  const key = createPrivateKey(readFileSync(join(folder, 'state/keys/tuf-targets.key')));
  writeFileSync(join(folder, 'os.sig'), sign(null, readFileSync(bytes), key));
  writeFileSync(join(folder, 'os.pub'), createPublicKey(key).export({ type: 'spki', format: 'pem' }));
  const attach = (file: string) =>
    mbl(
      'release',
      'sign',
      '--role',
      'os',
      '--attach',
      join(folder, file),
      '--public-key',
      join(folder, 'os.pub'),
    );
  assert.match((await attach('os.bytes')).err, /release\/bad-signature/);
  const attached = await attach('os.sig');
  assert.equal(attached.code, 0, attached.err);
  // The keys of snapshot and timestamp are elsewhere: they sign next.
  assert.match(attached.err, /before these are signed: snapshot/);
  assert.match(attached.out, /^os +3 +1 of 1 +complete$/m);
  assert.ok(!existsSync(join(releases, 'metadata/3.os.json')));
  const { published } = await json(
    'release',
    'sign',
    '--key',
    join(folder, 'state/keys/tuf-snapshot.key'),
    '--key',
    join(folder, 'state/keys/tuf-timestamp.key'),
  );
  assert.deepEqual(published, ['3.os.json', '3.snapshot.json', 'timestamp.json']);
  await json('release', 'verify', '--release', '1.2');
});

test('what is there, what waits and what differs is shown', async () => {
  const shown = await mbl('release', 'show');
  assert.match(shown.out, /^os +1\.0 +development +qemu-arm64 +0 +published$/m);
  assert.match(shown.out, /^os +3 +20\d\d-\d\d-\d\d +1 of 1 +[0-9a-f]{16}$/m);
  await json('release', 'create', '1.3', join(folder, 'other'), '--notes', 'Two lines,\nno more.');
  const one = await mbl('release', 'show', '1.3');
  assert.match(
    one.out,
    /^os 1\.3, development keys, rollback index 0: waits for signatures\n\nTwo lines,\nno more\.\n/,
  );
  assert.match((await mbl('release', 'show')).out, /version 4 waits: 0 of 1 signed/);
  const differ = await mbl('release', 'diff', '1.0', '1.3');
  assert.equal(differ.code, 1);
  assert.match(differ.out, /qemu-arm64 +root +0\.1\.0\+1 +0\.1\.0\+2 +4\.0 KiB +4\.0 KiB/);
  assert.match(differ.out, /^qemu-arm64 +systemd +257\.1 +257\.2$/m);
  assert.doesNotMatch(differ.out, /dbus/);
  assert.deepEqual((await mbl('release', 'diff', '1.2', '1.3')).code, 0);
  assert.match((await mbl('release', 'diff', '1.2', '9')).err, /release\/unknown-release/);
  assert.match((await mbl('release', 'show', '9')).err, /release\/unknown-release/);
});

test('keys change, and a team gets a folder of its own', async () => {
  const { createPublicKey, generateKeyPairSync } = await import('node:crypto');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [key, pub] = [join(folder, 'team.pem'), join(folder, 'team.pub')];
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(pub, createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }));
  assert.match((await mbl('release', 'sign', '--key', key)).err, /release\/foreign-key/);
  const changed = await json('release', 'role', 'root', '--add-key', pub, '--threshold', '2');
  assert.equal(changed['threshold'], 2);
  await json('release', 'role', 'thermostat', '--add-key', pub);
  const { waiting } = await json('release', 'sign');
  assert.deepEqual(waiting, ['root']);
  const signed = await json('release', 'sign', '--key', key);
  assert.deepEqual(signed['waiting'], ['snapshot']);
  const { published } = await json('release', 'sign');
  assert.ok((published as string[]).includes('2.root.json'), String(published));
  const shown = (await json('release', 'show'))['roles'] as { role: string; keyIds: string[] }[];
  assert.equal(shown.find(({ role }) => role === 'root')?.keyIds.length, 2);
  assert.equal(shown.find(({ role }) => role === 'thermostat')?.keyIds.length, 1);
  assert.equal((await json('release', 'verify'))['root'], 2);
  assert.match((await mbl('release', 'role', 'root', '--threshold', '3')).err, /release\/bad-role/);
});

test('a team is removed, and what it signed is shown and accepted no more', async () => {
  assert.match((await mbl('release', 'role', 'os', '--remove')).err, /release\/bad-role/);
  assert.match((await mbl('release', 'role', 'nobody', '--remove')).err, /release\/unknown-team/);
  assert.notEqual((await mbl('release', 'role', 'thermostat', '--remove', '--threshold', '1')).code, 0);
  const { staged } = await json('release', 'role', 'thermostat', '--remove');
  assert.deepEqual(staged, ['targets']);
  assert.deepEqual((await json('release', 'sign'))['waiting'], []);
  const { roles } = (await json('release', 'show')) as { roles: { role: string }[] };
  assert.ok(!roles.some(({ role }) => role === 'thermostat'));
  assert.equal((await json('release', 'verify'))['root'], 2);
});
