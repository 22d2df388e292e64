// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { AppReleaseStatus, DesiredApps, Release } from '@mbl/formats';
import { AppBoard } from '../../testing/app-board.ts';
import { AppRepository } from '../../testing/app-repository.ts';
import { fileServer } from '../../testing/payload-server.ts';
import { eventually, KeptLog, TemporaryFolder } from '../../testing/support.ts';
import { UpdateMemory } from '../update/memory.ts';
import { httpRepository } from '../update/repository.ts';
import { AppMemory } from './memory.ts';
import { AppUpdater, type AppUpdaterOptions } from './updater.ts';

const image = (blocks: number): Buffer => randomBytes(blocks * 4096);
const patience = 60_000;

/** A client with the platform's own part of the device, beside a web server with a repository; the app manager is the test. */
async function world(
  t: TestContext,
  respond: (...request: Parameters<RequestListener>) => boolean = () => false,
  { stallMs = 300, rest = patience } = {},
) {
  const repository = await AppRepository.open();
  const board = new AppBoard(repository);
  const folder = new TemporaryFolder();
  /** Bytes that were given, by path. */
  const given = new Map<string, number>();
  const serve = fileServer(repository, (path, bytes) => given.set(path, (given.get(path) ?? 0) + bytes));
  const server = createServer((request, response) => {
    if (!respond(request, response)) serve(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mirror/`;
  const kept = new KeptLog();
  const calls = { getApps: 0, checkAppRelease: 0 };
  const platform: AppUpdaterOptions['platform'] = {
    setDesiredApps: (wanted) => board.platform.setDesiredApps(wanted),
    getApps() {
      calls.getApps++;
      return board.platform.getApps();
    },
    checkAppRelease(wanted) {
      calls.checkAppRelease++;
      return board.platform.checkAppRelease(wanted);
    },
    installAppRelease: (wanted) => board.platform.installAppRelease(wanted),
  };
  const ends: (() => Promise<void>)[] = [];
  /** The client after a restart, with what it remembers. */
  const start = async () => {
    const updates = await UpdateMemory.load(folder.path);
    const apps = new AppUpdater({
      platform,
      repository: httpRepository({
        service: { url: 'https://127.0.0.1:1', serverName: '', trust: '' },
        state: folder.path,
        stallMs,
        rounds: 1,
      }),
      memory: await AppMemory.load(folder.path),
      updates,
      log: kept.log,
      now: Date.now,
      timing: { retryFirst: 1, retryMax: 20, later: patience, look: 5, rest, patience },
    });
    const stop = new AbortController();
    const done = apps.run(stop.signal);
    const end = async () => {
      stop.abort();
      await done;
    };
    ends.push(end);
    return { apps, updates, end };
  };
  t.after(async () => {
    for (const end of ends) await end();
    server.closeAllConnections();
    server.close();
    folder[Symbol.dispose]();
    board[Symbol.dispose]();
    repository[Symbol.dispose]();
  });
  const desired = (teams: Readonly<Record<string, string>>): DesiredApps => ({
    version: 1,
    releases: Object.entries(teams).map(([team, release]) => ({ team, release, repository: url })),
  });
  const said = new Map<string, AppReleaseStatus>();
  /** The app manager says how a team's release stands. */
  const say = (team: string, release: string, more: Partial<AppReleaseStatus> = {}) => {
    const plain = {
      running: release,
      state: 'running',
      reason: '',
      detail: '',
      fetched: 0,
      toFetch: 0,
    } as const;
    said.set(team, { team, release, ...plain, ...more });
    board.write('said/status.json', { version: 1, releases: [...said.values()], apps: [] });
  };
  /** The app manager installs what was handed on. */
  const install = async (team: string, released: Release) => {
    const order = board.at('apps/orders', `${team}.json`);
    await eventually(
      () => existsSync(order) && readFileSync(order, 'utf8').includes(`"release":"${released.name}"`),
      patience,
    );
    const kept = `apps/installed/teams/${team}`;
    board.write(`${kept}/state.json`, { version: 1, current: released.name, previous: '' });
    board.write(`${kept}/releases/${released.name}.json`, readFileSync(order, 'utf8'));
    for (const { sha256, app } of released.images[0]?.components ?? []) {
      const brought = board.at('apps/incoming', `${sha256}.erofs`);
      if (existsSync(brought)) board.write(`apps/installed/images/${app?.fsVerity}.erofs`, '');
      if (existsSync(brought))
        writeFileSync(board.at(`apps/installed/images/${app?.fsVerity}.erofs`), readFileSync(brought));
    }
    say(team, released.name);
  };
  const sum = (part: string) =>
    [...given].reduce((all, [path, bytes]) => all + (path.includes(part) ? bytes : 0), 0);
  /** Once the client has looked so often again. */
  const looks = async (apps: AppUpdater, count = 2) => {
    for (let n = 0; n < count; n++) {
      const before = calls.getApps;
      apps.look();
      await eventually(() => calls.getApps > before, patience);
    }
  };
  return {
    ...(await start()),
    calls,
    looks,
    start,
    repository,
    board,
    folder,
    kept,
    given,
    sum,
    desired,
    say,
    install,
    url,
  };
}

const stateOf = (apps: AppUpdater, team: string) => apps.releases.find((one) => one.team === team);

test('a release comes, runs when the app manager says so, and the next one costs what is new in it', async (t) => {
  const { apps, repository, board, folder, sum, given, desired, install, kept } = await world(t);
  const sensor = image(300);
  const first = await repository.release('weather', '1.0', { sensor, display: image(3) });
  assert.deepEqual(apps.releases, []);
  await apps.desire(desired({ weather: '1.0' }));
  assert.equal(stateOf(apps, 'weather')?.state, 'waits');
  await eventually(() => stateOf(apps, 'weather')?.state === 'installing', patience);
  const { fetched, toFetch } = stateOf(apps, 'weather') ?? { fetched: 0, toFetch: 1 };
  assert.equal(fetched, toFetch);
  const all = sum('');
  assert.ok(fetched >= all && fetched < all + 40 * 768, `${fetched} said, ${all} given`);
  assert.deepEqual(
    readdirSync(folder.path).filter((name) => name.startsWith('transfer')),
    [],
  );
  await install('weather', first);
  await eventually(() => stateOf(apps, 'weather')?.state === 'running', patience);
  assert.deepEqual(JSON.parse(board.read('apps/orders/desired.json')), desired({ weather: '1.0' }));

  given.clear();
  const next = Buffer.concat([sensor.subarray(0, 200 * 4096), image(2), sensor.subarray(200 * 4096)]);
  const second = await repository.release('weather', '2.0', { sensor: next });
  await apps.desire(desired({ weather: '2.0' }));
  await install('weather', second);
  await eventually(() => stateOf(apps, 'weather')?.running === '2.0', patience);
  assert.ok(sum('.payload') < 60_000, `${sum('.payload')} bytes for two blocks`);
  const [component] = second.images[0]?.components ?? [];
  const installed = board.at('apps/installed/images', `${component?.app?.fsVerity}.erofs`);
  assert.ok(readFileSync(installed).equals(next));
  assert.ok(kept.lines.some((line) => line.startsWith('apps handed on team=weather release=2.0')));
  // What nobody wants is told, and nothing is fetched for it.
  await apps.desire(desired({}));
  await eventually(() => !board.read('apps/orders/desired.json').includes('weather'), patience);
});

test('a team whose release does not come holds up nobody, and is tried again', async (t) => {
  let broken = true;
  const { apps, repository, desired, board } = await world(t, (request, response) => {
    if (!broken || request.url?.includes('/apps/weather/') !== true) return false;
    response.writeHead(503).end();
    return true;
  });
  await repository.release('weather', '1.0', { sensor: image(2) });
  await repository.release('radio', '1.0', { tuner: image(2) });
  await apps.desire(desired({ weather: '1.0', radio: '1.0' }));
  await eventually(() => stateOf(apps, 'radio')?.state === 'installing', patience);
  await eventually(() => stateOf(apps, 'weather')?.reason === 'update/mirror-unreachable', patience);
  assert.ok(!existsSync(board.at('apps/orders/weather.json')));
  broken = false;
  await eventually(() => stateOf(apps, 'weather')?.state === 'installing', patience);
});

test('what a restart broke off goes on by itself, from what is in the file', async (t) => {
  let cut = true;
  const { apps, end, start, repository, board, sum, desired, say } = await world(t, (request, response) => {
    // The first frames come, and then the client ends.
    if (!cut || request.url?.includes('.payload') !== true || sum('.payload') < 200_000) return false;
    return Boolean(response);
  });
  const sensor = image(1000);
  const released = await repository.release('weather', '1.0', { sensor });
  const size = released.images[0]?.components[0]?.payload?.size ?? 0;
  await apps.desire(desired({ weather: '1.0' }));
  await eventually(() => (stateOf(apps, 'weather')?.fetched ?? 0) > 1_000_000, patience);
  await end();
  cut = false;
  board.restart();
  const again = await start();
  assert.deepEqual(again.apps.desired, desired({ weather: '1.0' }));
  again.apps.look();
  say('weather', '1.0', { running: '', state: 'waits' });
  await eventually(() => stateOf(again.apps, 'weather')?.state === 'installing', patience);
  assert.ok(sum('.payload') < 1.6 * size, `${sum('.payload')} of ${size}`);
  // All runs together are one account.
  assert.ok((stateOf(again.apps, 'weather')?.fetched ?? 0) >= sum('.payload'));
  const [component] = released.images[0]?.components ?? [];
  assert.ok(readFileSync(board.at('apps/incoming', `${component?.sha256}.erofs`)).equals(sensor));
});

test('a release may cost the budget, whatever others cost, and waits where that does not suffice', async (t) => {
  const { apps, updates, repository, sum, desired } = await world(t);
  await updates.keep({ budget: 200_000 });
  await repository.release('weather', '1.0', { sensor: image(40) });
  await repository.release('radio', '1.0', { tuner: image(40) });
  await repository.release('light', '1.0', { lamp: image(400) });
  await apps.desire(desired({ light: '1.0', weather: '1.0', radio: '1.0' }));
  await eventually(() => stateOf(apps, 'radio')?.state === 'installing', patience);
  assert.equal(stateOf(apps, 'weather')?.state, 'installing');
  const light = stateOf(apps, 'light');
  assert.deepEqual([light?.state, light?.reason], ['waits', 'update/over-budget']);
  const needed = Number(/needs at least (\d+) bytes/.exec(light?.detail ?? '')?.[1]);
  assert.ok(needed > 400 * 4096 && sum('apps/light') < 200_000, `${needed} needed`);
  apps.look();
  await updates.keep({ budget: needed + 100_000 });
  apps.look();
  await eventually(() => stateOf(apps, 'light')?.state === 'installing', patience);
});

test('what was refused, or fell back, is not brought again; another release is', async (t) => {
  const { apps, repository, desired, say, calls, looks } = await world(t);
  await repository.release('weather', '1.0', { sensor: image(2) });
  await repository.release('weather', '2.0', { sensor: image(2) }, { keys: 'production' });
  await apps.desire(desired({ weather: '2.0' }));
  await eventually(() => stateOf(apps, 'weather')?.state === 'refused', patience);
  assert.equal(stateOf(apps, 'weather')?.reason, 'update/wrong-device');
  const asked = calls.checkAppRelease;
  await looks(apps);
  assert.equal(calls.checkAppRelease, asked);
  const fell = {
    state: 'fell-back',
    running: '',
    reason: 'app/unhealthy',
    detail: 'no sensor answers',
  } as const;
  say('weather', '1.0', fell);
  await apps.desire(desired({ weather: '1.0' }));
  await looks(apps);
  assert.equal(stateOf(apps, 'weather')?.detail, 'no sensor answers');
  assert.equal(calls.checkAppRelease, asked);
  await repository.release('weather', '3.0', { sensor: image(2) });
  await apps.desire(desired({ weather: '3.0' }));
  await eventually(() => stateOf(apps, 'weather')?.state === 'installing', patience);
});

test('another wish ends what is being fetched', async (t) => {
  let cut = true;
  const { apps, repository, desired, board } = await world(
    t,
    (request, response) => {
      if (!cut || request.url?.includes('.payload') !== true) return false;
      return Boolean(response);
    },
    { stallMs: 10 * patience },
  );
  await repository.release('weather', '1.0', { sensor: image(300) });
  await repository.release('weather', '2.0', { sensor: image(2) });
  await apps.desire(desired({ weather: '1.0' }));
  await eventually(() => readdirSync(board.at('apps/incoming')).length === 1, patience);
  cut = false;
  await apps.desire(desired({ weather: '2.0' }));
  await eventually(() => stateOf(apps, 'weather')?.state === 'installing', patience);
  assert.equal(stateOf(apps, 'weather')?.release, '2.0');
  const [file] = readdirSync(board.at('apps/incoming'));
  assert.equal(readFileSync(join(board.at('apps/incoming'), file ?? '')).length, 2 * 4096);
});

test('what becomes of apps that are there is seen without anybody who asks', async (t) => {
  const { apps, board, say } = await world(t, undefined, { rest: 5 });
  say('weather', '1.0');
  const status = JSON.parse(board.read('said/status.json')) as object;
  const sensor = { name: 'sensor', team: 'weather', release: '1.0', version: '1.0', reason: '', detail: '' };
  board.write('said/status.json', { ...status, apps: [sensor] });
  let told = 0;
  apps.changed = () => told++;
  apps.look();
  await eventually(() => apps.apps[0]?.state === 'stopped', patience);
  const unit = {
    subState: 'running',
    since: 0,
    result: 'success',
    restarts: 1,
    memory: 1,
    code: 0,
    status: 0,
  };
  board.units.set('mbl-app-sensor.service', { ...unit, activeState: 'active' });
  await eventually(() => apps.apps[0]?.state === 'running', patience);
  // Each page of memory is no news.
  const before = told;
  board.units.set('mbl-app-sensor.service', { ...unit, activeState: 'active', memory: 2 });
  await eventually(() => apps.apps[0]?.memory === 2, patience);
  assert.equal(told, before);
});

test('what was handed on is not handed on again because the app manager had looked before', async (t) => {
  const { apps, repository, board, desired, say, looks, calls } = await world(t);
  await repository.release('weather', '1.0', { sensor: image(2) });
  await apps.desire(desired({ weather: '1.0' }));
  await eventually(() => existsSync(board.at('apps/orders/weather.json')), patience);
  const before = calls.checkAppRelease;
  say('weather', '1.0', { running: '', state: 'waits', detail: 'it has not been fetched yet' });
  await looks(apps, 4);
  assert.equal(calls.checkAppRelease, before);
  assert.equal(stateOf(apps, 'weather')?.state, 'installing');
  say('weather', '1.0', { running: '', state: 'fell-back', reason: 'app/ended' });
  await eventually(() => stateOf(apps, 'weather')?.state === 'fell-back', patience);
  assert.equal(calls.checkAppRelease, before);
});

test('after a start of the device the app manager has the first word: what fell back is not brought again', async (t) => {
  const { apps, end, start, repository, board, desired, install, say, looks, calls } = await world(t);
  const released = await repository.release('weather', '1.0', { sensor: image(2) });
  await apps.desire(desired({ weather: '1.0' }));
  await install('weather', released);
  await eventually(() => stateOf(apps, 'weather')?.state === 'running', patience);
  await end();
  // It has not judged yet what is there.
  rmSync(board.at('said/status.json'));
  const again = await start();
  const before = calls.checkAppRelease;
  await looks(again.apps, 4);
  say('weather', '1.0', { running: '', state: 'fell-back', reason: 'app/ended' });
  await eventually(() => stateOf(again.apps, 'weather')?.state === 'fell-back', patience);
  await looks(again.apps);
  assert.equal(calls.checkAppRelease, before);
});

test('a file that was spoiled after it was fetched is fetched again', async (t) => {
  const { apps, repository, desired, board } = await world(t);
  await repository.release('weather', '1.0', { sensor: image(2) });
  const { platform } = board;
  const install = platform.installAppRelease.bind(platform);
  let spoiled = 0;
  Object.assign(platform, {
    async installAppRelease(wanted: { team: string; release: string }) {
      const [file] = readdirSync(board.at('apps/incoming'));
      if (spoiled++ === 0 && file !== undefined)
        writeFileSync(board.at('apps/incoming', file), Buffer.alloc(2 * 4096));
      await install(wanted);
    },
  });
  await apps.desire(desired({ weather: '1.0' }));
  await eventually(() => stateOf(apps, 'weather')?.state === 'installing', patience);
  assert.equal(spoiled, 2);
});

test('which apps there are to be is kept, and what is damaged counts as nothing said', async () => {
  using folder = new TemporaryFolder();
  const memory = await AppMemory.load(folder.path);
  assert.equal(memory.desired, undefined);
  const desired = { version: 1, releases: [{ team: 'weather', release: '1.0' }] } as const;
  await memory.keep(desired);
  assert.deepEqual((await AppMemory.load(folder.path)).desired, desired);
  const file = join(folder.path, 'apps.json');
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, -5));
  assert.equal((await AppMemory.load(folder.path)).desired, undefined);
  rmSync(folder.path, { recursive: true });
  await assert.rejects(memory.keep({ version: 1, releases: [] }));
  assert.deepEqual(memory.desired, desired, 'what could not be kept does not count');
});
