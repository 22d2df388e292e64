// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPolicy } from './policy.ts';
import { AppBoard, paths } from './testing/app-board.ts';

test('an order that came to nothing is not carried out again by itself; the same order given anew is', async () => {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: { behaviour: 'broken' } });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  assert.equal((await board.status())['weather'], '1 - fell-back app/did-not-start');
  const { starts } = board.device;
  board.device.reboot();
  await board.run();
  assert.equal(board.device.starts, starts);
  board.bring('weather', '1');
  await board.run();
  assert.equal(board.device.starts, starts + 1);
});

test('a start of the device measures each image once beside the unit that mounts it, and reads no unit anew', async () => {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: {} });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  board.device.reboot();
  const { measure, reloads } = board.device;
  let measured = 0;
  board.device.measure = async (path) => {
    measured++;
    return await measure(path);
  };
  await board.run();
  assert.deepEqual(board.device.apps, ['sensor weather/1']);
  assert.equal(measured, 2);
  assert.equal(board.device.reloads, reloads, 'systemd has read no unit of an app yet');
});

test('of a release that is there nobody is told that it waits to be fetched', async () => {
  const board = new AppBoard();
  board.release('radio', '1', { tuner: {} });
  board.release('weather', '1', { sensor: {} });
  board.want({ radio: '1', weather: '1' });
  board.bring('radio', '1');
  board.bring('weather', '1');
  const { write } = board.device;
  const told = new Set<string>();
  board.device.write = async (path, text, options) => {
    await write(path, text, options);
    if (path === paths.status) for (const one of Object.values(await board.status())) told.add(one);
  };
  await board.run();
  assert.deepEqual([...told], ['1 - installing', '1 1 trying', '1 1 running']);
});

test('what is not well formed on the disk takes nothing away', async () => {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: {} });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  board.device.put(paths.desired, '{"version":1,"releases":');
  board.device.put(paths.order('weather'), 'odd');
  board.device.put(paths.journal, '{"version":1,"phase":"remove"}');
  board.device.put(paths.rollback('weather'), '../../etc');
  board.device.reboot();
  await board.run();
  assert.deepEqual(board.device.apps, ['sensor weather/1']);
  assert.equal((await board.status())['weather'], '1 1 running');
});

test('what was put in the place of something signed does not run, and comes back with the next order', async () => {
  for (const damage of ['image', 'metadata', 'older'] as const) {
    const board = new AppBoard();
    board.release('weather', '1', { sensor: {} });
    board.release('weather', '2', { sensor: {} }, 2);
    board.want({ weather: '1' });
    board.bring('weather', '1');
    await board.run();
    const old = board.device.files.get(paths.release('weather', '1'))?.text ?? '';
    board.want({ weather: '2' });
    board.bring('weather', '2');
    await board.run();
    const image = paths.installedImage(board.signed.get('weather/2')?.apps[0]?.image.fsVerity ?? '');
    const kept = paths.release('weather', '2');
    board.device.reboot();
    if (damage === 'image') board.device.put(image, 'another');
    if (damage === 'metadata') {
      board.device.put(kept, 'odd');
      board.device.files.delete(paths.order('weather'));
    }
    if (damage === 'older') {
      board.device.put(paths.release('weather', '1'), old);
      board.device.put(
        paths.teamState('weather'),
        JSON.stringify({ version: 1, current: '1', previous: '' }),
      );
      board.want({ weather: '1' });
      board.device.files.delete(paths.order('weather'));
    }
    await board.run();
    assert.deepEqual(board.device.apps, [], damage);
    assert.match((await board.status())['weather'] ?? '', /^[12] \S+ waits app\/damaged$/);
    board.want({ weather: '2' });
    board.device.files.delete(image);
    board.bring('weather', '2');
    await board.run();
    assert.deepEqual(board.device.apps, ['sensor weather/2'], damage);
  }
});

test('who an app of the bus is stands under its number, and only while it is installed', async () => {
  const board = new AppBoard();
  const bus = { talk: ['com.mbl.Cloud1'], own: [] };
  const permissions = { network: 'none', ports: [], devices: [], bus } as const;
  const resources = [{ path: '/3303/0/5700', type: 'float', operations: ['read'] }] as const;
  board.release('weather', '1', { clock: {}, sensor: { change: { permissions, resources } } });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  const callers = async () =>
    (JSON.parse((await board.device.read(paths.callers)) ?? '') as { callers: object }).callers;
  assert.deepEqual(await callers(), { '200001': { app: 'sensor', team: 'weather', resources, ...bus } });
  assert.deepEqual(board.device.files.get(paths.callers)?.options, { mode: 0o640, uid: 0, gid: 900 });
  board.want({});
  await board.run();
  assert.deepEqual(await callers(), {});
});

test('an operating system that allows less ends what it does not allow, and nothing else', async () => {
  const board = new AppBoard();
  const permissions = { network: 'outbound', ports: [], devices: [], bus: { talk: [], own: [] } } as const;
  board.policy = readPolicy([
    { path: 'policy', bytes: Buffer.from('allow: [{ team: weather, network: outbound }]') },
  ]);
  board.release('weather', '1', { sensor: { change: { permissions } }, display: {} });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  assert.equal(board.device.apps.length, 2);
  board.policy = { rules: [] };
  board.device.reboot();
  await board.run();
  assert.deepEqual(board.device.apps, ['display weather/1']);
  assert.equal((await board.status())['weather'], '1 1 refused app/not-allowed');
});

test('an app of another team gets nothing of what one of its name has kept', async () => {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: {} });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  const data = `${paths.volume('sensor', 'state')}/data`;
  board.device.put(data, 'of another one');
  board.device.put(paths.slots, JSON.stringify({ version: 1, apps: { sensor: { team: 'radio', slot: 0 } } }));
  board.device.reboot();
  await board.run();
  assert.equal(board.device.files.has(data), false);
  assert.deepEqual(board.device.apps, ['sensor weather/1']);
});

test('a lost list of numbers costs nobody their data', async () => {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: {} });
  board.release('weather', '2', { sensor: {} });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  const data = `${paths.volume('sensor', 'state')}/data`;
  board.device.put(data, 'kept');
  for (const release of ['2', '1']) {
    board.device.put(paths.slots, 'odd');
    if (release === '1') board.device.reboot();
    board.want({ weather: release });
    board.bring('weather', release);
    await board.run();
    assert.equal(await board.device.read(data), 'kept');
    assert.deepEqual(board.device.apps, [`sensor weather/${release}`]);
  }
});

test('what the owner does not allow does not come back: by a rollback, on the way back, or by a journal', async () => {
  for (const way of ['rollback', 'back', 'install', 'try'] as const) {
    const board = new AppBoard();
    const permissions = { network: 'outbound', ports: [], devices: [], bus: { talk: [], own: [] } } as const;
    const allowed = readPolicy([
      { path: 'policy', bytes: Buffer.from('allow: [{ team: weather, network: outbound }]') },
    ]);
    board.policy = allowed;
    board.release('weather', '1', { sensor: { change: { permissions } }, display: {} });
    board.release('weather', '2', { sensor: {}, display: {} });
    board.release('weather', '3', { sensor: { behaviour: 'broken' }, display: {} });
    for (const release of way === 'back' ? ['1'] : ['1', '2']) {
      board.want({ weather: release });
      board.bring('weather', release);
      await board.run();
    }
    board.policy = { rules: [] };
    board.device.reboot();
    if (way === 'rollback') {
      await board.run();
      board.device.put(paths.rollback('weather'), '0123456789abcdef');
    } else if (way === 'back') {
      board.want({ weather: '3' });
      board.bring('weather', '3');
    } else {
      if (way === 'install') board.bring('weather', '1');
      else board.want({ weather: '1' });
      const change = { team: 'weather', from: '2', to: '1', rollback: false, ask: '', phase: way };
      board.device.put(
        paths.journal,
        JSON.stringify({ version: 1, ...change, attempts: 0, order: '', reason: '', detail: '' }),
      );
    }
    await board.run();
    const expected = way === 'back' ? ['display weather/1'] : ['display weather/2', 'sensor weather/2'];
    assert.deepEqual(board.device.apps, expected, way);
  }
});

test('a release on trial that is taken back ends there, and one that asks for years of trial does not get them', async () => {
  const health = { command: ['/bin/check'], interval: 86_400, timeout: 1, failures: 3, grace: 10 };
  for (const then of [{}, { weather: '1' }, undefined]) {
    const board = new AppBoard();
    board.release('weather', '1', { sensor: {} });
    board.release('weather', '2', { sensor: { behaviour: 'sick', change: { health } } });
    for (const release of ['1', '2']) {
      board.want({ weather: release });
      board.bring('weather', release);
      const { device } = board;
      const before = device.pause;
      if (release === '2')
        device.pause = (ms) => {
          if (then !== undefined && device.clock() > 30_000) board.want(then);
          return before(ms);
        };
      await board.run();
    }
    const { device } = board;
    if (then === undefined)
      assert.equal((await board.status())['weather'], '2 1 fell-back app/unhealthy', 'by itself');
    assert.deepEqual(
      device.apps,
      then?.weather === undefined && then !== undefined ? [] : ['sensor weather/1'],
    );
    assert.ok(device.clock() < (then === undefined ? 3_600_000 : 60_000), `${device.clock()} ms`);
  }
});

test('as long as it cannot be read what a team has, its volumes and images stay', async () => {
  for (const damage of ['state', 'release', 'gone'] as const) {
    const board = new AppBoard();
    board.release('weather', '1', { sensor: {} });
    for (const release of ['1', '2']) board.release('radio', release, { tuner: {} });
    board.want({ weather: '1', radio: '1' });
    board.bring('weather', '1');
    board.bring('radio', '1');
    await board.run();
    const data = `${paths.volume('sensor', 'state')}/data`;
    const image = paths.installedImage(board.signed.get('weather/1')?.apps[0]?.image.fsVerity ?? '');
    board.device.put(data, 'kept');
    if (damage === 'state') board.device.put(paths.teamState('weather'), 'odd');
    else if (damage === 'release') board.device.put(paths.release('weather', '1'), 'odd');
    else board.device.files.delete(paths.release('weather', '1'));
    board.device.reboot();
    // Another team's change sweeps.
    board.want({ weather: '1', radio: '2' });
    board.device.files.delete(paths.order('weather'));
    board.bring('radio', '2');
    await board.run();
    assert.equal(await board.device.read(data), 'kept', damage);
    assert.equal(board.device.files.has(image), true, damage);
    board.bring('weather', '1');
    await board.run();
    assert.deepEqual(board.device.apps, ['sensor weather/1', 'tuner radio/2'], damage);
    assert.equal(await board.device.read(data), 'kept', damage);
    // Who wants nothing of the team any more gets the room back.
    if (damage === 'state') board.device.put(paths.teamState('weather'), 'odd');
    board.want({ radio: '1' });
    board.bring('radio', '1');
    await board.run();
    assert.equal(board.device.files.has(data), false, damage);
  }
});

test('a folder that whoever fetches left in the place of an image goes', async () => {
  const board = new AppBoard();
  board.device.put(`${paths.incoming}/plain`, 'stays');
  board.device.put(`${paths.incoming}/folder/inner`, 'goes');
  await board.device.folder(`${paths.incoming}/folder`, { mode: 0o755 });
  await board.run();
  assert.deepEqual(await board.device.list(paths.incoming), ['plain']);
});

test('an app that would have all files that the disk can hold is not installed', async () => {
  const board = new AppBoard();
  const volumes = [{ name: 'state', path: '/var/lib/app', size: 1 << 20, files: 60_000 }];
  board.release('weather', '1', { sensor: { change: { volumes } } });
  board.release('radio', '1', { tuner: { change: { volumes } } });
  for (const team of ['weather', 'radio']) {
    board.want({ weather: '1', radio: '1' });
    board.bring(team, '1');
    await board.run();
  }
  assert.equal((await board.status())['radio'], '1 - waits app/no-room');
  assert.deepEqual(board.device.apps, ['sensor weather/1']);
});

test('who wants a rollback of what cannot be a team keeps nobody busy', async () => {
  const board = new AppBoard();
  await board.run();
  for (const name of ['root', 'weather', 'config.json', '.radio.new'])
    board.device.put(paths.rollback(name), '0123456789abcdef');
  await board.run();
  assert.deepEqual(await board.device.list(paths.rollbacks), ['.radio.new']);
});

test('a disk that takes no bound for what is fetched keeps no app from starting', async () => {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: {} });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  board.restart();
  const { quota } = board.device;
  board.device.quota = (folder, ...rest) =>
    folder === paths.incoming
      ? Promise.reject(new Error('quota set: the limits cannot be set: error 30'))
      : quota(folder, ...rest);
  await board.run();
  assert.deepEqual(board.device.apps, ['sensor weather/1']);
  assert.ok(
    board.device.said.some((line) => line.includes('has no bound: quota set')),
    board.device.said.join(),
  );
});

test('a team whose apps cannot be written out keeps no other team from starting', async () => {
  const board = new AppBoard();
  board.release('radio', '1', { tuner: {} });
  board.release('weather', '1', { sensor: {} });
  board.want({ radio: '1', weather: '1' });
  board.bring('radio', '1');
  board.bring('weather', '1');
  await board.run();
  board.restart();
  const { quota } = board.device;
  board.device.quota = (folder, ...rest) =>
    folder === paths.volume('tuner', 'state')
      ? Promise.reject(new Error('quota set: the limits cannot be set: error 5'))
      : quota(folder, ...rest);
  // The next run tries again.
  await assert.rejects(board.run(), /error 5/);
  assert.deepEqual(board.device.apps, ['sensor weather/1']);
  board.device.quota = quota;
  await board.run();
  assert.deepEqual(board.device.apps, ['sensor weather/1', 'tuner radio/1']);
});
