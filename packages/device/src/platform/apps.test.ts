// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatDesiredApps } from '@mbl/formats';
import { acceptApps, Client, memoryStore } from '@mbl/releases';
import { AppBoard } from '../testing/app-board.ts';
import { AppRepository } from '../testing/app-repository.ts';
import { installApps } from './apps.ts';
import { defaultSystem } from './options.ts';

const image = (blocks: number): Buffer => randomBytes(blocks * 4096);

/** What was ordered for a team, and what a client that has seen nothing makes of it. */
async function judged(board: AppBoard, team: string) {
  const order = JSON.parse(board.read('apps/orders', `${team}.json`)) as {
    version: number;
    team: string;
    release: string;
    metadata: { name: string; content: string }[];
  };
  const files = new Map(order.metadata.map(({ name, content }) => [name, content]));
  const source = {
    open: (path: string) => {
      const content = files.get(path);
      return Promise.resolve(content === undefined ? undefined : pieces(content));
    },
  };
  const { root, now } = board.repository;
  const client = await Client.open({ root, source, store: memoryStore(), now });
  const wanted = { team: order.team, name: order.release };
  return { order, ...(await acceptApps(client, wanted, { keys: 'development', rollbackIndex: 0 })) };
}

async function* pieces(content: string): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from(content));
}

test('a release of apps is judged file by file, fetched into files of its size, and handed on', async () => {
  using repository = await AppRepository.open();
  const [sensor, display] = [image(40), image(3)];
  await repository.release('weather', '1.0', { sensor, display });
  using board = new AppBoard(repository);
  const { plan, asked } = await board.check('weather', '1.0');
  assert.equal(plan.refused, '');
  const plain = asked.map((name) => name.replaceAll(/[0-9a-f]{64}/g, '#'));
  assert.deepEqual(plain, [
    'metadata/2.root.json',
    'metadata/timestamp.json',
    'metadata/2.snapshot.json',
    'metadata/2.targets.json',
    'metadata/1.weather.json',
    'targets/apps/weather/releases/#.1.0.json',
    'targets/apps/weather/components/#/#.app.json',
    'targets/apps/weather/components/#/#.app.json',
  ]);
  assert.deepEqual(
    plan.components.map(({ name, size, dataSize, running }) => [name, size, dataSize, running]),
    [
      ['sensor', 40 * 4096, 40 * 4096, ''],
      ['display', 3 * 4096, 3 * 4096, ''],
    ],
  );
  for (const { device, size } of plan.components) {
    assert.equal(statSync(device).size, size);
    assert.equal(statSync(device).mode & 0o777, 0o660 & ~process.umask());
  }
  const install = { team: 'weather', release: '1.0' };
  await assert.rejects(board.platform.installAppRelease(install), { code: 'device/slot-mismatch' });
  const [first, second] = plan.components;
  assert.ok(first && second);
  writeFileSync(first.device, sensor);
  // Nothing stands behind the last block.
  writeFileSync(second.device, Buffer.concat([display, Buffer.alloc(4096)]));
  await assert.rejects(board.platform.installAppRelease(install), { code: 'device/slot-mismatch' });
  assert.equal(existsSync(board.at('asked/apps')), false);
  writeFileSync(second.device, display);
  await assert.rejects(board.platform.installAppRelease({ ...install, release: '2.0' }), {
    code: 'device/no-release',
  });
  await board.platform.installAppRelease(install);
  assert.equal(existsSync(board.at('asked/apps')), true);
  const { order, apps } = await judged(board, 'weather');
  assert.deepEqual([order.version, order.team, order.release], [1, 'weather', '1.0']);
  assert.deepEqual(
    apps.map(({ app }) => app.name),
    ['sensor', 'display'],
  );
});

test('what the board has seen for one team holds for every other, and each order has all that vouches for it', async () => {
  using repository = await AppRepository.open();
  await repository.release('weather', '1.0', { sensor: image(2) });
  const old = new Map(
    ['timestamp.json', '2.snapshot.json'].map((name) => [name, repository.get(`metadata/${name}`) ?? '']),
  );
  await repository.release('radio', '1.0', { tuner: image(2) });
  using board = new AppBoard(repository);
  await board.check('weather', '1.0');
  board.restart();
  const { plan, asked } = await board.check('radio', '1.0');
  // The rest was seen for the other team.
  const again = ['metadata/timestamp.json', 'metadata/1.radio.json'];
  assert.deepEqual(
    asked.filter((name) => name.startsWith('metadata/') && !name.endsWith('root.json')),
    again,
  );
  for (const { device } of plan.components) {
    const found = repository.folder;
    writeFileSync(device, readFileSync(`${found}/packages/radio/1.0/tuner/app.erofs`));
  }
  await board.platform.installAppRelease({ team: 'radio', release: '1.0' });
  assert.equal((await judged(board, 'radio')).release.name, '1.0');
  // A mirror that is behind leads nobody back, whichever team it is asked for; and not the operating system.
  for (const [name, bytes] of old) writeFileSync(`${repository.folder}/metadata/${name}`, bytes);
  assert.equal((await board.check('weather', '1.0')).plan.reason, 'update/metadata-rolled-back');
  const metadata = new Map([
    ['metadata/2.root.json', ''],
    ['metadata/timestamp.json', String(old.get('timestamp.json'))],
  ]);
  const machine = { machine: 'qemu-arm64', keys: 'development', rollbackIndex: 0 } as const;
  await assert.rejects(board.verifier.verify('1.0', metadata, machine), { code: 'release/rolled-back' });
});

test('what a board does not take is refused with its reason before anything is fetched', async () => {
  using repository = await AppRepository.open();
  await repository.release('weather', '1.0', { sensor: image(1) }, { rollbackIndex: 2 });
  await repository.release('weather', '2.0', { sensor: image(1) }, { keys: 'production' });
  using board = new AppBoard(repository);
  const reason = async (team: string, release: string) => (await board.check(team, release)).plan.reason;
  assert.equal(await reason('weather', '3.0'), 'update/unknown-release');
  assert.equal(await reason('weather', '2.0'), 'update/wrong-device');
  assert.equal(await reason('desired', '1.0'), 'update/not-installable');
  assert.equal(await reason('os', '1.0'), 'update/signature-invalid');
  board.write('apps/installed/accepted/weather.json', { version: 1, rollbackIndex: 3 });
  assert.equal(await reason('weather', '1.0'), 'update/too-old');
  board.write('apps/installed/accepted/weather.json', { version: 1, rollbackIndex: 2 });
  assert.equal(await reason('weather', '1.0'), '');
  board.now = new Date('2028-06-01');
  board.restart();
  assert.equal(await reason('weather', '1.0'), 'update/metadata-expired');
  await assert.rejects(board.platform.installAppRelease({ team: 'weather', release: '1.0' }), {
    code: 'device/no-release',
  });
});

test('an app that is there is not fetched again, and its version before is where blocks are copied from', async () => {
  using repository = await AppRepository.open();
  const [sensor, display] = [image(20), image(4)];
  const first = await repository.release('weather', '1.0', { sensor, display });
  using board = new AppBoard(repository);
  const { plan } = await board.check('weather', '1.0');
  for (const { device, name } of plan.components) writeFileSync(device, name === 'sensor' ? sensor : display);
  await board.platform.installAppRelease({ team: 'weather', release: '1.0' });
  // As the app manager leaves it.
  board.write('apps/installed/teams/weather/state.json', { version: 1, current: '1.0', previous: '' });
  board.write('apps/installed/teams/weather/releases/1.0.json', board.read('apps/orders/weather.json'));
  const [was, same] = first.images[0]?.components ?? [];
  assert.ok(was?.app && was.payload && same?.app);
  const installed = (app: { fsVerity: string }) => board.at('apps/installed/images', `${app.fsVerity}.erofs`);
  writeFileSync(installed(was.app), sensor);
  writeFileSync(installed(same.app), display);
  await repository.release('weather', '2.0', { sensor: Buffer.concat([sensor, image(1)]), display });
  const next = (await board.check('weather', '2.0')).plan;
  assert.equal(next.refused, '');
  assert.deepEqual(
    next.components.map(({ name, running }) => [name, running]),
    [['sensor', installed(was.app)]],
  );
  const [component] = next.components;
  const map = `targets/apps/weather/maps/${component?.rootHash}/${was.payload.rootHash}`;
  assert.equal(component?.map.file, map);
  assert.equal(repository.get(map)?.length, component?.map.size);
  // What the app manager found damaged is fetched whether it is there or not.
  const damaged = { team: 'weather', release: '2.0', running: '', state: 'waits', reason: 'app/damaged' };
  board.write('said/status.json', {
    releases: [{ ...damaged, detail: '', fetched: 0, toFetch: 0 }],
    apps: [],
  });
  assert.equal((await board.check('weather', '2.0')).plan.components.length, 2);
});

test('files that nobody fetches are removed, those of another team and of before a restart stay', async () => {
  using repository = await AppRepository.open();
  const all = { sensor: image(2), display: image(3) };
  await repository.release('weather', '1.0', all);
  await repository.release('weather', '2.0', { sensor: all.sensor });
  await repository.release('radio', '1.0', { tuner: image(4) });
  using board = new AppBoard(repository);
  const there = () => readdirSync(board.at('apps/incoming')).length;
  await board.check('weather', '1.0');
  await board.check('radio', '1.0');
  writeFileSync(board.at('apps/incoming/stray'), '');
  assert.equal(there(), 4);
  board.restart();
  const { plan } = await board.check('weather', '2.0');
  assert.equal(there(), 2, 'the tuner and the sensor');
  const [sensor] = plan.components;
  assert.ok(sensor);
  writeFileSync(sensor.device, all.sensor);
  const desired = (...releases: { team: string; release: string }[]) =>
    board.platform.setDesiredApps({ desired: formatDesiredApps({ version: 1, releases }) });
  await board.platform.installAppRelease({ team: 'weather', release: '2.0' });
  await desired({ team: 'weather', release: '2.0' });
  assert.equal(there(), 1);
  assert.deepEqual(JSON.parse(board.read('apps/orders/desired.json')), {
    version: 1,
    releases: [{ team: 'weather', release: '2.0' }],
  });
  assert.ok(existsSync(board.at('apps/orders/weather.json')));
  rmSync(board.at('asked/apps'));
  await desired();
  assert.equal(there(), 0);
  assert.equal(existsSync(board.at('apps/orders/weather.json')), false);
  assert.ok(existsSync(board.at('asked/apps')));
  await assert.rejects(board.platform.setDesiredApps({ desired: '{}' }), {
    code: 'formats/bad-desired-apps',
  });
});

test('whoever fetches leads nobody to another file', async () => {
  using repository = await AppRepository.open();
  const sensor = image(2);
  await repository.release('weather', '1.0', { sensor });
  using board = new AppBoard(repository);
  const [component] = (await board.check('weather', '1.0')).plan.components;
  assert.ok(component);
  const { device } = component;
  const mine = board.at('apps/orders/desired.json');
  writeFileSync(mine, Buffer.alloc(sensor.length, 'mine'));
  for (const put of [
    () => symlinkSync(mine, device),
    () => linkSync(mine, device),
    () => mkdirSync(device),
    () => writeFileSync(device, 'short'),
  ]) {
    rmSync(device, { recursive: true });
    put();
    await assert.rejects(board.platform.installAppRelease({ team: 'weather', release: '1.0' }), {
      code: 'device/slot-mismatch',
    });
    await board.check('weather', '1.0');
    const made = lstatSync(device);
    assert.deepEqual([made.isFile(), made.size, made.nlink], [true, sensor.length, 1]);
    assert.ok(readFileSync(mine).equals(Buffer.alloc(sensor.length, 'mine')));
  }
  // Nor into a folder of theirs, where they could change what is removed.
  for (const name of [device, board.at('apps/incoming/stray')]) {
    rmSync(name, { force: true });
    mkdirSync(join(name, 'inner'), { recursive: true });
  }
  await assert.rejects(board.check('weather', '1.0'), /a folder is in the place of an image/);
  await board.platform.setDesiredApps({ desired: formatDesiredApps({ version: 1, releases: [] }) });
  assert.ok(existsSync(join(device, 'inner')) && existsSync(board.at('asked/apps')));
  rmSync(device, { recursive: true });
  await board.check('weather', '1.0');
  // What is there of it stays.
  writeFileSync(device, sensor);
  await board.check('weather', '1.0');
  await board.platform.installAppRelease({ team: 'weather', release: '1.0' });
});

test('a release for which the disk has no room is not begun', async () => {
  using repository = await AppRepository.open();
  const release = await repository.release('weather', '1.0', { sensor: image(2) });
  using board = new AppBoard(repository);
  const { bavail, bsize } = statfsSync(board.at('apps'));
  const verifier = board.verifier;
  const verifyApps: typeof verifier.verifyApps = async (...args) => {
    const verdict = await verifier.verifyApps(...args);
    if ('missing' in verdict) return verdict;
    // A terabyte more than there is.
    const size = Math.ceil((bavail * bsize) / 4096) * 4096 + 2 ** 40;
    const apps = verdict.apps.map(({ component, ...rest }) => ({
      ...rest,
      component: {
        ...component,
        size,
        ...(component.payload && { payload: { ...component.payload, dataSize: size } }),
      },
    }));
    return { ...verdict, apps };
  };
  assert.equal(release.images.length, 1);
  const folders = { apps: board.at('apps'), appsSaid: board.at('said'), appsAsked: board.at('asked') };
  const options = { ...defaultSystem, ...folders, imageFile: board.at('image.json') };
  const small = installApps(options, { verifyApps }, { read: () => Promise.resolve(undefined) });
  const metadata: { name: string; content: string }[] = [];
  for (;;) {
    const plan = await small.checkAppRelease({ team: 'weather', release: '1.0', metadata });
    if (plan.missing !== '')
      metadata.push({
        name: plan.missing,
        content: repository.get(plan.missing)?.toString('utf8') ?? '',
      });
    else {
      assert.equal(plan.reason, 'app/no-room');
      break;
    }
  }
  assert.deepEqual(readdirSync(board.at('apps/incoming')), []);
});
