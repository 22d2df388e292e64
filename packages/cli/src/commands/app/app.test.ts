// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { initKeys } from '@mbl/trust';
import { runProgram } from '../../program.ts';
import { testCli } from '../../testing/cli.ts';
import { findWorkspace } from '../../workspace.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-app-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const { cache } = findWorkspace();
const workspace = { state: join(folder, 'state'), build: join(folder, 'build'), cache };

async function mbl(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const { cli, stdout, stderr } = testCli({ workspace });
  const code = await runProgram(cli, ['app', ...words]);
  return { code, out: stdout(), err: stderr() };
}

/** The first bytes of a program for arm64. */
function program(): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  bytes.writeUInt16LE(183, 18);
  return bytes;
}

const place = join(folder, 'sensor');
mkdirSync(join(place, 'root/usr/bin'), { recursive: true });
writeFileSync(join(place, 'root/usr/bin/sensor'), program(), { mode: 0o755 });
const recipe = `name: sensor
version: "1.0"
source: { root: root }
command: [/usr/bin/sensor]
permissions: { network: outbound, ports: { web: { port: 8080, published: 80 } } }
volumes: { data: { path: /data } }
resources: [{ path: /3303/0/5700, type: float, operations: [read] }]
`;
writeFileSync(join(place, 'app.yaml'), recipe);

test('an app is built, and what it asks for is shown', async () => {
  const built = await mbl('build', place);
  assert.equal(built.code, 0, built.err);
  assert.match(built.out, /^sensor 1\.0, \d+\.\d KiB, is in .*build\/apps\/sensor$/m);
  const shown = await mbl('inspect', 'sensor');
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /^network +outbound$/m);
  assert.match(shown.out, /^ports +web 80→8080\/tcp$/m);
  assert.match(shown.out, /^devices +none$/m);
  assert.match(shown.out, /^resources +\/3303\/0\/5700 float \(read\)$/m);
  const { app } = JSON.parse((await mbl('inspect', 'sensor', '--json')).out) as { app: { name: string } };
  assert.equal(app.name, 'sensor');
});

test('two packages are compared: what they ask for, and their files', async () => {
  const old = join(folder, 'old');
  assert.equal((await mbl('build', place, '--output', old)).code, 0);
  assert.deepEqual(await mbl('diff', old, 'sensor'), { code: 0, out: 'the same\n', err: '' });
  writeFileSync(join(place, 'root/usr/bin/tool'), 'x');
  writeFileSync(join(place, 'root/usr/bin/sensor'), Buffer.concat([program(), Buffer.from('2')]), {
    mode: 0o755,
  });
  writeFileSync(join(place, 'app.yaml'), recipe.replace('"1.0"', '"1.1"').replace('outbound', 'none'));
  assert.equal((await mbl('build', place)).code, 0);
  const { code, out } = await mbl('diff', old, 'sensor');
  assert.equal(code, 1);
  assert.match(out, /^release +"1\.0" +"1\.1"$/m);
  assert.match(out, /^permissions\.network +"outbound" +"none"$/m);
  assert.match(out, /^\+ \/usr\/bin\/tool$/m);
  assert.match(out, /^~ \/usr\/bin\/sensor: 0755 0:0 64 [0-9a-f]{64} → 0755 0:0 65 [0-9a-f]{64}$/m);
  writeFileSync(join(place, 'app.yaml'), recipe);
});

test('a new app has its own name, and what the template has', async () => {
  const { cli, stderr } = testCli({ workspace });
  const before = process.cwd();
  process.chdir(folder);
  try {
    assert.equal(await runProgram(cli, ['app', 'new', 'meter', '--template', 'python']), 0, stderr());
    assert.match(stderr(), /Next: \.\/mbl app push meter$/m);
    assert.match(readFileSync(join(folder, 'meter/app.yaml'), 'utf8'), /^name: meter$/m);
    assert.doesNotMatch(readFileSync(join(folder, 'meter/sensor.py'), 'utf8'), /SPDX/);
    assert.match((await mbl('new', 'meter')).err, /apps\/exists/);
    assert.match((await mbl('new', 'Meter')).err, /apps\/bad-name/);
  } finally {
    process.chdir(before);
  }
});

test("an app is released by its team's key, and verified as by a device", async () => {
  const { cli, stderr, stdout } = testCli({ workspace });
  const release = async (...words: string[]) => {
    assert.equal(await runProgram(cli, ['release', ...words]), 0, stderr());
    return stdout();
  };
  await initKeys(join(workspace.state, 'keys'), { profile: 'development' });
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const key = join(folder, 'weather');
  writeFileSync(`${key}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(`${key}.pub`, publicKey.export({ type: 'spki', format: 'pem' }));
  await release('sign');
  await release('role', 'weather', '--add-key', `${key}.pub`);
  await release('sign');
  await release('create', '1.0', 'sensor', '--team', 'weather');
  // The key set has no key of the team.
  assert.match(await release('sign'), /^weather +1 +0 of 1/m);
  await release('sign', '--key', `${key}.key`);
  await release('sign');
  const said = await release('verify', '--team', 'weather', '--release', '1.0');
  assert.match(
    said,
    /^weather 1\.0 for arm64: a board with development keys would install it\n1 components/m,
  );
});

test('what is wrong is said with its place, and what to do', async () => {
  const refused = async (message: RegExp, ...words: string[]) => {
    const { code, err } = await mbl(...words);
    assert.equal(code, 1, err);
    assert.match(err, message);
  };
  writeFileSync(join(place, 'app.yaml'), recipe.replace('outbound', 'outbuond'));
  await refused(
    /app\.yaml:5:\d+: "network" must be "none" or "outbound"[^]*Did you mean "outbound"/,
    'build',
    place,
  );
  writeFileSync(join(place, 'app.yaml'), recipe.replace('usr/bin/sensor]', 'usr/bin/senzor]'));
  await refused(/apps\/no-program[^]*\/usr\/bin\/senzor/, 'build', place);
  await refused(/apps\/no-package[^]*app build/, 'inspect', 'nothing');
  await refused(/apps\/no-app[^]*app new/, 'build');
  writeFileSync(join(folder, 'image.tar'), 'x');
  await refused(/cli\/no-source[^]*--app-name/, 'build', join(folder, 'image.tar'));
  await refused(
    /apps\/bad-image/,
    'build',
    join(folder, 'image.tar'),
    '--app-name',
    'a',
    '--app-version',
    '1',
  );
  await refused(
    /apps\/no-image/,
    'build',
    join(folder, 'other.tar'),
    '--app-name',
    'a',
    '--app-version',
    '1',
  );
});
