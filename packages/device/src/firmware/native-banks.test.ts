// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TemporaryFolder } from '../testing/support.ts';
import { nativeBanks } from './native-banks.ts';

/** Banks behind a helper that is a script. */
function scripted(folder: TemporaryFolder, script: string) {
  const helper = join(folder.path, 'helper');
  writeFileSync(helper, `#!/bin/sh\ncd "${folder.path}"\necho "$*" >>asked\n${script}\n`, { mode: 0o755 });
  return nativeBanks(helper);
}

const status = 'case $2 in status) echo "bank=b trial=1 attempts=1 confirmed=0 size=4096";; esac';

test('what the helper says of the banks is read, and nothing else is believed', async () => {
  using folder = new TemporaryFolder();
  assert.deepEqual(await scripted(folder, status).status(), { bank: 'b', accepted: false, size: 4096 });
  for (const [line, accepted] of [
    ['bank=a trial=0 attempts=2 confirmed=1 size=1', true],
    ['bank=a trial=0 attempts=0 confirmed=0 size=1', true],
    // Rejected in this start: no trial any more, and not accepted.
    ['bank=a trial=0 attempts=1 confirmed=0 size=1', false],
  ] as const)
    assert.equal((await scripted(folder, `echo "${line}"`).status())?.accepted, accepted);
  for (const line of ['bank=c trial=1 attempts=1 confirmed=0 size=1', '', 'bank=a'])
    await assert.rejects(scripted(folder, `echo "${line}"`).status(), { code: 'device/firmware-failed' });
});

test('a board without banks says so; refusals and failures are told apart, with what was said', async () => {
  using folder = new TemporaryFolder();
  const ends = (code: number) => scripted(folder, `echo "mbl-native: not now" >&2; exit ${code}`);
  assert.equal(await ends(4).status(), undefined);
  await assert.rejects(ends(3).confirm(), { code: 'device/firmware-refused', message: /: not now$/ });
  await assert.rejects(ends(4).reject(), { code: 'device/firmware-refused' });
  await assert.rejects(ends(1).try('b'), { code: 'device/firmware-failed' });
  await assert.rejects(ends(1).status(), { code: 'device/firmware-failed' });
  await assert.rejects(nativeBanks(join(folder.path, 'none')).confirm(), { code: 'device/firmware-failed' });
});

test('the first bytes of a file are written, and those of either bank are digested', async () => {
  using folder = new TemporaryFolder();
  const bytes = randomBytes(300_000);
  writeFileSync(join(folder.path, 'fip'), bytes);
  const banks = scripted(folder, `${status}\ncase $2 in write) cat >written;; read) head -c "$4" fip;; esac`);
  await banks.write(join(folder.path, 'fip'), 250_000);
  assert.ok(readFileSync(join(folder.path, 'written')).equals(bytes.subarray(0, 250_000)));
  const digest = createHash('sha256').update(bytes.subarray(0, 200_000)).digest('hex');
  assert.equal(await banks.digest('idle', 200_000), digest);
  assert.equal(await banks.digest('running', 200_000), digest);
  assert.ok((await banks.head(4096)).equals(bytes.subarray(0, 4096)));
  await banks.try('a');
  const asked = readFileSync(join(folder.path, 'asked'), 'utf8').split('\n');
  assert.deepEqual(
    asked.filter((line) => line !== '' && !line.endsWith('status')),
    [
      ...['firmware write 0', 'firmware read 0 200000', 'firmware read 4096 200000'],
      ...['firmware read 4096 4096', 'firmware try a'],
    ],
  );
  assert.equal(await scripted(folder, 'echo copied=4').copy(), 4);
  await assert.rejects(scripted(folder, 'echo done').copy(), { code: 'device/firmware-failed' });
  await assert.rejects(scripted(folder, 'exit 3').copy(), { code: 'device/firmware-refused' });
  // One that ends before its input.
  await assert.rejects(scripted(folder, 'exit 3').write(join(folder.path, 'fip'), 300_000), {
    code: 'device/firmware-refused',
  });
});
