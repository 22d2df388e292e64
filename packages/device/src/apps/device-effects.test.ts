// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TemporaryFolder } from '../testing/support.ts';
import { deviceEffects, parseShown } from './device-effects.ts';

const { getuid, getgid } = process;
const mine = { uid: getuid?.() ?? 0, gid: getgid?.() ?? 0 };

test('files are written whole, read within bounds, and no link is followed', async () => {
  using folder = new TemporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const effects = deviceEffects({ native: '/bin/false', data: folder.path });
  await effects.write(at('a'), 'first', { mode: 0o640, ...mine });
  const first = await effects.stamp(at('a'));
  await effects.write(at('a'), 'other', { mode: 0o600, ...mine });
  assert.equal(await effects.read(at('a'), 5), 'other');
  assert.equal(statSync(at('a')).mode & 0o777, 0o600);
  assert.notEqual(await effects.stamp(at('a')), first, 'whoever writes the same again is heard again');
  assert.equal(await effects.read(at('a'), 4), undefined);
  writeFileSync(at('secret'), 'secret');
  symlinkSync(at('secret'), at('link'));
  for (const path of ['link', 'nothing', 'a/b', '.']) {
    assert.equal(await effects.read(at(path), 100), undefined, path);
    assert.equal(await effects.size(at(path)), undefined, path);
    assert.equal(await effects.stamp(at(path)), undefined, path);
  }
  await effects.give(at('link'), { mode: 0o777, ...mine });
  assert.notEqual(statSync(at('secret')).mode & 0o777, 0o777);
  execFileSync('mkfifo', [at('pipe')]);
  assert.equal(await effects.read(at('pipe'), 100), undefined);
  // What lies in the way of a file goes, and what a link points to stays.
  mkdirSync(join(at('folder'), 'inner'), { recursive: true });
  await effects.write(at('folder'), 'file', { mode: 0o600, ...mine });
  await effects.write(at('link'), 'file', { mode: 0o600, ...mine });
  assert.equal(readFileSync(at('secret'), 'utf8'), 'secret');
  assert.deepEqual(await effects.list(at('nothing')), []);
  assert.deepEqual(await effects.list(at('a')), []);
  assert.equal(await effects.measure(at('a')), undefined);
  const capacity = await effects.capacity();
  assert.ok(capacity.bytes > 0 && capacity.files >= 0);
  assert.deepEqual(await effects.device('/dev/null'), { type: 'c', major: 1, minor: 3 });
  assert.equal(await effects.device(at('a')), undefined);
});

test('a copy has the first bytes of a file, whatever is in its place, and nothing of what a link points to', async () => {
  using folder = new TemporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const effects = deviceEffects({ native: '/bin/false', data: folder.path });
  writeFileSync(at('a'), Buffer.alloc(3_000_000, 'ab'));
  writeFileSync(at('other'), 'other');
  symlinkSync(at('other'), at('b'));
  for (const bytes of [1_500_001, 0, 1]) {
    await effects.copy(at('a'), at('b'), bytes, { mode: 0o640, ...mine });
    assert.ok(readFileSync(at('b')).equals(readFileSync(at('a')).subarray(0, bytes)), `${bytes}`);
    assert.equal(statSync(at('b')).mode & 0o777, 0o640);
  }
  assert.equal(readFileSync(at('other'), 'utf8'), 'other');
  symlinkSync(at('a'), at('link'));
  await assert.rejects(effects.copy(at('link'), at('b'), 1, { mode: 0o640, ...mine }), { code: 'ELOOP' });
});

test('a file that is open to write, and a file system without quotas, are told apart from what fails', async () => {
  using folder = new TemporaryFolder();
  const native = (status: number) => {
    const path = join(folder.path, `native-${status}`);
    writeFileSync(path, `#!/bin/sh\necho why >&2\nexit ${status}\n`, { mode: 0o755 });
    return deviceEffects({ native: path, data: folder.path });
  };
  assert.equal(await native(0).seal('a'), true);
  assert.equal(await native(7).seal('a'), false);
  await assert.rejects(native(1).seal('a'), /why/);
  const quota = async (status: number) => await native(status).quota('a', 1, 2, 3);
  assert.deepEqual([await quota(0), await quota(4)], [true, false]);
  await assert.rejects(quota(1), /why/);
});

test('a disk that is full is told from another failure of the helper', async () => {
  using folder = new TemporaryFolder();
  for (const [number, code] of [
    [28, 'ENOSPC'],
    [5, undefined],
    [128, undefined],
  ] as const) {
    const native = join(folder.path, `native-${number}`);
    const sentence = `mbl-native: fs-verity cannot be enabled: error ${number}`;
    writeFileSync(native, `#!/bin/sh\necho '${sentence}' >&2\nexit 1\n`, { mode: 0o755 });
    const found = await deviceEffects({ native, data: '/' })
      .seal('/nothing')
      .catch((error: unknown) => error);
    assert.equal((found as { code?: string }).code, code);
    assert.match(String(found), new RegExp(`${sentence}$`));
  }
});

test('the answer of systemd is read, whatever it is', () => {
  const text =
    'ActiveState=active\nResult=success\nNRestarts=2\nExecMainCode=1\nExecMainStatus=3\nActiveEnterTimestampMonotonic=5000000\n';
  const state = { active: 'active', result: 'success', restarts: 2, code: 1, status: 3 };
  assert.deepEqual(parseShown(text, 7000), { ...state, activeFor: 2000 });
  assert.equal(parseShown(text.replace('=active', '=activating'), 7000).activeFor, 0);
  for (const odd of ['', '=\n', 'NRestarts=x', 'Failed to connect to bus'])
    assert.deepEqual(parseShown(odd, 1), {
      active: 'inactive',
      result: '',
      restarts: 0,
      code: 0,
      status: 0,
      activeFor: 0,
    });
});
