// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
    'os 1.0 for qemu-arm64: a board with development keys would install it\n3 components, 4.2 KiB: each is what was signed\n',
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
