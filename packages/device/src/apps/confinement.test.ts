// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TemporaryFolder } from '../testing/support.ts';
import { confineApps, type ConfinementPlaces } from './confinement.ts';
import { AppBoard, paths } from './testing/app-board.ts';
import { PowerCut } from './testing/fake-device.ts';

function places(folder: TemporaryFolder, profiles: string): ConfinementPlaces {
  const found = { policy: join(folder.path, 'policy'), kernel: join(folder.path, 'kernel') };
  mkdirSync(found.kernel);
  writeFileSync(found.policy, Buffer.from([4, 8, 0, 0xff]));
  writeFileSync(join(found.kernel, 'profiles'), profiles);
  writeFileSync(join(found.kernel, '.load'), '');
  return found;
}

test('a profile that is in force is not loaded again', async () => {
  using folder = new TemporaryFolder();
  const found = places(folder, 'other (complain)\nmbl-app (enforce)\n');
  assert.equal(await confineApps(found), undefined);
  assert.equal(readFileSync(join(found.kernel, '.load')).length, 0);
});

test('what the kernel does not take, or only complains by, confines nobody', async () => {
  for (const profiles of [
    '',
    'mbl-app (complain)\n',
    'mbl-app//child (enforce)\n',
    'not-mbl-app (enforce)\n',
  ]) {
    using folder = new TemporaryFolder();
    const found = places(folder, profiles);
    assert.match((await confineApps(found)) ?? '', /did not take the profile mbl-app/, profiles);
    assert.deepEqual([...readFileSync(join(found.kernel, '.load'))], [4, 8, 0, 0xff]);
  }
});

test('a kernel without AppArmor, and an image without the profile, confine nobody', async () => {
  using folder = new TemporaryFolder();
  const found = places(folder, '');
  assert.match((await confineApps({ ...found, kernel: '/nonexistent' })) ?? '', /no profile mbl-app: ENOENT/);
  assert.match((await confineApps({ ...found, policy: '/nonexistent' })) ?? '', /no profile mbl-app: ENOENT/);
});

test('where the kernel confines nobody no app starts and no release is installed; both come as soon as it does', async () => {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: {} });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  board.device.reboot();
  const { starts } = board.device;
  board.unconfined = 'the kernel has no profile mbl-app';
  board.release('music', '1', { player: {} });
  board.want({ weather: '1', music: '1' });
  board.bring('music', '1');
  await board.run();
  assert.deepEqual(await board.status(), {
    music: '1 - waits app/not-confined',
    weather: '1 1 waits app/not-confined',
  });
  assert.equal(board.device.starts, starts);
  board.unconfined = undefined;
  await board.run();
  assert.deepEqual(board.device.apps, ['player music/1', 'sensor weather/1']);
});

test('a release that a power cut caught half done is not blamed for a start at which the kernel confines nobody', async () => {
  for (const phase of ['install', 'try'] as const) {
    const board = new AppBoard();
    board.release('weather', '1', { sensor: {} });
    board.release('weather', '2', { sensor: {} }, 1);
    board.want({ weather: '1' });
    board.bring('weather', '1');
    await board.run();
    board.want({ weather: '2' });
    board.bring('weather', '2');
    const { device } = board;
    const { write } = device;
    device.write = async (path, text, options) => {
      await write(path, text, options);
      if (path === paths.journal && text.includes(`"phase":"${phase}"`)) device.cutAt = device.effects;
    };
    await assert.rejects(board.run(), PowerCut);
    device.write = write;
    board.unconfined = 'the kernel has no profile mbl-app';
    board.restart();
    await board.run();
    assert.deepEqual(await board.status(), { weather: '2 1 waits app/not-confined' }, phase);
    assert.deepEqual(device.apps, []);
    board.unconfined = undefined;
    board.restart();
    await board.run();
    assert.deepEqual(await board.status(), { weather: '2 2 running' }, phase);
  }
});
