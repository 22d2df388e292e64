// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AppDevice, appStatus, releaseStatus } from '../../testing/app-device.ts';
import { DatabaseProxy } from '../../testing/database-proxy.ts';
import { enrol, eventually, TestDevice } from '../../testing/device.ts';
import { TestRepository } from '../../testing/repository.ts';
import { newDatabase, TestService } from '../../testing/service.ts';
import type { LookTiming } from '../requests/looks.ts';
import type { DeviceAppRelease } from './model.ts';

const timing: LookTiming = { timeoutMs: 20_000, shortestMs: 10, longestMs: 40, againMs: 300_000 };
const mirror = 'https://mirror.example/releases/';

describe('the apps that a device is to have', { timeout: 400_000 }, () => {
  const stack = new AsyncDisposableStack();
  let service: TestService;
  let proxy: DatabaseProxy;
  let ahead = 0;
  before(async () => {
    const repository = stack.use(await TestRepository.open());
    await repository.release('1.0');
    proxy = stack.use(await DatabaseProxy.start(await newDatabase()));
    service = stack.use(
      await TestService.start({
        releases: repository.folder,
        orderTiming: timing,
        databaseUrl: proxy.url,
        now: () => Date.now() + ahead,
      }),
    );
  });
  after(async () => await stack.disposeAsync());

  const board = async (name: string): Promise<AppDevice> => {
    const device = await AppDevice.enrolled(service, name);
    await device.start();
    return device;
  };
  const put = async (path: string, team: string, release: string) => {
    const { status, body } = await service.call('PUT', `${path}/apps/${team}`, {
      release,
      repository: mirror,
    });
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const order = (device: { id: string }, team: string, release: string): Promise<DeviceAppRelease> =>
    put(`/v3/devices/${device.id}`, team, release);
  const shown = async ({ id }: { id: string }) => (await service.get(`/v3/devices/${id}/apps`)).body;
  const stands = async (device: { id: string }, team: string, state: string | null, reason = '') =>
    await eventually(async () => {
      const found = (await shown(device)).releases.find((one: DeviceAppRelease) => one.team === team);
      return found?.state === state && found.reason === reason ? (found as DeviceAppRelease) : undefined;
    }, `${team} ${state} ${reason}`);
  const wants = async (device: AppDevice, wanted: Record<string, string>) =>
    await eventually(
      async () => device.desired !== '' && JSON.stringify(device.wanted) === JSON.stringify(wanted),
      `it is told ${JSON.stringify(wanted)}, has ${device.desired}`,
    );
  const eventsOf = async ({
    id,
  }: {
    id: string;
  }): Promise<{ type: string; data: Record<string, string> }[]> =>
    (await service.get(`/v3/device-events?device_id__eq=${id}&limit=500`)).body.data
      .filter(({ event_type: type }: { event_type: string }) => type.startsWith('device.app'))
      .map(({ event_type: type, data }: { event_type: string; data: object }) => ({
        type: type.replace('device.', ''),
        data,
      }));
  const group = async (name: string, ...devices: { id: string }[]): Promise<string> => {
    const { body } = await service.call('POST', '/v3/device-groups', { name });
    for (const { id } of devices) await member(body.id, 'add', id);
    return `/v3/device-groups/${body.id}`;
  };
  const member = async (groupId: string, verb: 'add' | 'remove', id: string) => {
    const url = `/v3/device-groups/${groupId}/devices/${verb}`;
    assert.equal((await service.call('POST', url, { device_id: id })).status, 204);
  };

  test('are told to it, and what it says of them is shown, with events', async () => {
    await using device = await board('app-1');
    const made = await order(device, 'weather', '1.1');
    assert.deepEqual([made.state, made.desired?.release, made.desired?.group_id], ['waits', '1.1', null]);
    await wants(device, { weather: '1.1' });
    const fetching = { team: 'weather', release: '1.1', running: '', state: 'fetching' } as const;
    device.report([releaseStatus({ ...fetching, fetched: 7_000_000_000, toFetch: 100_000_000_000 })]);
    assert.equal((await stands(device, 'weather', 'fetching')).bytes_fetched, 7_000_000_000);
    const app = { name: 'sensor', release: '1.1', version: '2.0' };
    device.report([releaseStatus({ team: 'weather', release: '1.1', running: '1.1' })], [appStatus(app)]);
    const done = await stands(device, 'weather', 'running');
    assert.deepEqual([done.running, done.reported_release], ['1.1', '1.1']);
    const { apps, runs_apps, problem } = await eventually(async () => {
      const all = await shown(device);
      return all.apps.length > 0 && all;
    }, 'its apps');
    assert.deepEqual(
      [apps.length, apps[0].name, apps[0].version, apps[0].state],
      [1, 'sensor', '2.0', 'running'],
    );
    assert.deepEqual([runs_apps, problem], [true, '']);
    device.report(
      [releaseStatus({ team: 'weather', release: '1.1', running: '1.1' })],
      [appStatus({ ...app, state: 'failed', reason: 'app/killed', detail: 'by signal 9' })],
    );
    await eventually(async () => (await eventsOf(device)).length === 2, 'two events');
    const [running, failed] = await eventsOf(device);
    assert.deepEqual(running, {
      type: 'apps-running',
      data: { team: 'weather', release: '1.1', state: 'running', reason: '' },
    });
    assert.deepEqual(
      [failed?.type, failed?.data['app'], failed?.data['reason']],
      ['app-failed', 'sensor', 'app/killed'],
    );
    assert.equal(device.told.length, 1, 'told once');
    const { body } = await service.call('DELETE', `/v3/devices/${device.id}/apps/weather`);
    assert.equal(body.releases[0].desired, null);
    await wants(device, {});
    device.report([], []);
    await eventually(async () => (await shown(device)).releases.length === 0, 'nothing is left');
  });

  test('wait for a device that is away; who registers holding them is not told again', async () => {
    await using device = await board('app-2');
    await device.disconnect();
    await eventually(async () => !(await service.get(`/v3/devices/${device.id}`)).body.online, 'away');
    await order(device, 'weather', '1.0');
    await stands(device, 'weather', 'waits', 'device-away');
    await order(device, 'weather', '1.1');
    await device.reconnect();
    await wants(device, { weather: '1.1' });
    assert.equal(device.told.length, 1, 'told the newer one alone');
    await device.start();
    device.report([releaseStatus({ team: 'weather', release: '1.1' })]);
    await stands(device, 'weather', 'running');
    assert.equal(device.told.length, 1);
    await service.restart();
    await device.reconnect();
    device.report([releaseStatus({ team: 'weather', release: '1.1', state: 'fell-back', running: '1.0' })]);
    await stands(device, 'weather', 'fell-back');
    assert.equal(device.told.length, 1, 'nor after a restart of the service');
    device.desired = '{"version":1,"releases":[]}';
    await device.reconnect();
    await wants(device, { weather: '1.1' });
    assert.deepEqual(
      (await eventsOf(device)).map(({ type }) => type),
      ['apps-running', 'apps-fell-back'],
    );
  });

  test('of two orders at once the device is told the one that is written down', async () => {
    await using device = await board('app-3');
    await Promise.all(['1.1', '1.2', '1.3', '1.4'].map((release) => order(device, 'weather', release)));
    const [{ desired }] = (await shown(device)).releases;
    await wants(device, { weather: desired.release });
    await Promise.all([order(device, 'weather', '2.0'), order(device, 'kitchen', '2.0')]);
    await wants(device, { kitchen: '2.0', weather: '2.0' });
    let other: Promise<unknown> | undefined;
    device.onDesired = () => {
      other ??= order(device, 'weather', '2.2');
    };
    await order(device, 'weather', '2.1');
    await wants(device, { kitchen: '2.0', weather: '2.2' });
  });

  test('an answer that is lost is found when the device comes back', async () => {
    await using device = await board('app-4');
    device.onDesired = async () => {
      device.onDesired = undefined;
      await device.disconnect();
    };
    await order(device, 'weather', '1.1');
    await eventually(async () => device.told.length === 1, 'it is told');
    await device.reconnect();
    device.report([releaseStatus({ team: 'weather', release: '1.1' })]);
    await stands(device, 'weather', 'running');
    assert.equal(device.told.length, 1, 'not a second time');
    proxy.loseAnswerToCommit();
    await service.call('PUT', `/v3/devices/${device.id}/apps/weather`, {
      release: '1.2',
      repository: mirror,
    });
    proxy.back();
    await wants(device, { weather: '1.2' });
    proxy.loseAnswerToCommit();
    device.report([releaseStatus({ team: 'weather', release: '1.2', running: '1.2' })]);
    proxy.back();
    assert.equal((await stands(device, 'weather', 'running')).running, '1.2');
    assert.deepEqual(
      (await eventsOf(device)).map(({ data }) => data['release']),
      ['1.1', '1.2'],
      'an event each',
    );
  });

  test("a group's are its devices', those of the device itself before them, the newer before the older", async () => {
    await using one = await board('app-5');
    await using other = await board('app-6');
    const lab = await group('app-lab', one, other);
    await put(lab, 'weather', '1.1');
    await wants(one, { weather: '1.1' });
    await wants(other, { weather: '1.1' });
    await order(one, 'weather', '1.5');
    await wants(one, { weather: '1.5' });
    const desk = await group('app-desk', one, other);
    await put(desk, 'weather', '1.2');
    await wants(other, { weather: '1.2' });
    assert.deepEqual(one.wanted, { weather: '1.5' });
    await put(lab, 'weather', '1.3');
    await wants(other, { weather: '1.3' });
    other.report([
      releaseStatus({ team: 'weather', release: '1.3', state: 'refused', reason: 'app/not-allowed' }),
    ]);
    await stands(other, 'weather', 'refused', 'app/not-allowed');
    const { body } = await service.get(`${lab}/apps/weather`);
    assert.deepEqual([body.devices_count, body.overruled_count, body.states], [2, 1, { refused: 1 }]);
    assert.deepEqual([body.unwell.length, body.unwell[0].endpoint_name], [1, 'app-6']);
    const all = (await service.get(`${lab}/apps`)).body;
    assert.deepEqual(all, [body]);
    const theirs = (await service.get(`${desk}/apps/weather`)).body;
    assert.deepEqual([theirs.devices_count, theirs.overruled_count, theirs.states], [2, 2, {}]);
    await put(desk, 'weather', '1.3');
    const unwellOf = async (url: string) => (await service.get(`${url}/apps/weather`)).body.unwell.length;
    assert.deepEqual([await unwellOf(lab), await unwellOf(desk)], [0, 1], 'by the order that holds');
    await put(desk, 'weather', '1.2');
    await put(lab, 'weather', '1.3');
    assert.equal((await service.call('DELETE', `${lab}/apps/weather`)).status, 200);
    await wants(other, { weather: '1.2' });
    await service.call('DELETE', `/v3/devices/${one.id}/apps/weather`);
    await wants(one, { weather: '1.2' });
    await member(desk.split('/').at(-1) ?? '', 'remove', one.id);
    await wants(one, {});
    assert.equal((await service.call('DELETE', desk)).status, 204);
    await wants(other, {});
    assert.equal((await service.get(`${lab}/apps/weather`)).status, 404);
  });

  test('the order of a large group is counted, not gone through', async () => {
    const lab = await group('app-large');
    const ids: string[] = [];
    for (let i = 0; i < 1000; i += 50)
      ids.push(
        ...(await Promise.all(
          Array.from({ length: 50 }, async (_, j) => {
            const { body } = await service.call('POST', '/v3/devices', { endpoint_name: `large-${i + j}` });
            await member(lab.split('/').at(-1) ?? '', 'add', body.id);
            return body.id as string;
          }),
        )),
      );
    await using there = await board('app-7');
    await member(lab.split('/').at(-1) ?? '', 'add', there.id);
    const { body: before } = await service.get('/v3/device-events?limit=2&include=total_count');
    const body = await put(lab, 'weather', '1.1');
    assert.deepEqual([body.devices_count, body.states], [1001, { waits: 1001 }]);
    await wants(there, { weather: '1.1' });
    const { body: afterwards } = await service.get('/v3/device-events?limit=2&include=total_count');
    assert.equal(afterwards.total_count, before.total_count, 'nothing is written for each');
    assert.equal(
      (await stands({ id: ids[0] ?? '' }, 'weather', 'waits', 'device-away')).desired?.release,
      '1.1',
    );
  });

  test('what a device says is bounded, and is about itself alone', async () => {
    await using device = await board('app-8');
    await using victim = await board('app-9');
    victim.report([releaseStatus({ team: 'weather' })], [appStatus({ name: 'sensor' })]);
    await eventually(async () => (await shown(victim)).apps.length === 1, 'the victim reports');
    await order(device, 'weather', '1.1');
    const hostile = [
      'x'.repeat(3000),
      '{',
      '[]',
      '{"__proto__":{}}',
      JSON.stringify(releaseStatus({ team: 'Weather' })),
      JSON.stringify(releaseStatus({ team: 'weather', detail: 'a\u001b[2Jb' })),
      JSON.stringify({ ...releaseStatus({ team: 'weather' }), state: 'winning' }),
      JSON.stringify({ ...releaseStatus({ team: 'weather' }), fetched: -1 }),
      releaseStatus({ team: 'intruder', release: '6.6', detail: '\ud800 half' }),
      releaseStatus({ team: 'weather', release: '1.1', reason: 'app/made-up' as never }),
      releaseStatus({ team: 'weather', release: '9.9' }),
      ...Array.from({ length: 100 }, (_, i) => releaseStatus({ team: `team-${i}` })),
    ];
    device.report(hostile, [
      appStatus({ name: 'sensor', team: 'intruder', since: Number.MAX_SAFE_INTEGER }),
      appStatus({ name: 'sensor', version: '6.6' }),
      JSON.stringify(appStatus({ name: 'sensor\n' })),
      ...Array.from({ length: 400 }, (_, i) => appStatus({ name: `app-${i}` })),
    ]);
    assert.equal((await stands(device, 'weather', 'running', 'app/failed')).running, '1.0');
    const { releases, apps } = await shown(device);
    assert.ok(releases.length <= 64, `${releases.length} releases`);
    assert.ok(apps.length <= 256, `${apps.length} apps`);
    const sensor = apps.find(({ name }: { name: string }) => name === 'sensor');
    assert.deepEqual([sensor.team, sensor.version, sensor.since], ['intruder', '1.0', null]);
    assert.deepEqual(
      (await shown(victim)).apps.map(({ team, version }: { team: string; version: string }) => [
        team,
        version,
      ]),
      [['weather', '1.0']],
    );
    for (let i = 0; i < 40; i += 1) {
      const state = i % 2 === 0 ? 'refused' : 'running';
      device.report(['a', 'b', 'c'].map((team) => releaseStatus({ team, state, detail: `${i}` })));
      await eventually(
        async () => (await shown(device)).releases[0].sentence === `${i}`,
        `the report ${i} is written`,
      );
    }
    const events = await eventsOf(device);
    assert.ok(events.length <= 64, `${events.length} events`);
    assert.ok(events.length > 50, `${events.length} events`);
  });

  test('a device that cannot be read is asked less and less, and lives', async () => {
    await using device = await board('app-10');
    device.refuses = true;
    await order(device, 'weather', '1.1');
    const refused = await eventually(async () => (await shown(device)).problem || undefined, 'it refuses');
    assert.match(refused, /does not take .*not on this device/);
    assert.equal(device.told.length, 1);
    device.refuses = false;
    ahead = 400_000;
    await wants(device, { weather: '1.1' });
    ahead = 0;
    await eventually(async () => (await shown(device)).problem === '', 'no problem any more');
  });

  test('what nobody has, or has no name, is refused; a device without apps is said to be', async () => {
    const plain = await enrol(service, 'app-11');
    await using _ = await TestDevice.register(service, plain);
    const url = `/v3/devices/${plain.deviceId}/apps`;
    const refused = async (path: string, body: object) => {
      const answer = await service.call('PUT', path, body);
      return [answer.status, answer.body.fields?.[0]?.message ?? answer.body.type];
    };
    assert.deepEqual(await refused(`${url}/weather`, { release: '9' }), [
      400,
      'The service has no release 9 of weather',
    ]);
    // A release of the operating system is none of apps.
    assert.equal((await refused(`${url}/os`, { release: '1.0' }))[0], 400);
    assert.equal((await refused(`${url}/weather`, { release: '1.0' }))[0], 400);
    assert.equal((await refused(`${url}/Weather`, { release: '1', repository: mirror }))[0], 400);
    assert.equal((await refused('/v3/devices/7/apps/weather', { release: '1', repository: mirror }))[0], 404);
    assert.equal(
      (await refused('/v3/device-groups/7/apps/weather', { release: '1', repository: mirror }))[0],
      404,
    );
    assert.equal((await service.get(`${url}/weather`)).status, 404);
    await order({ id: plain.deviceId }, 'weather', '1');
    await stands({ id: plain.deviceId }, 'weather', 'waits', 'no-apps');
    for (let i = 0; i < 31; i += 1) await order({ id: plain.deviceId }, `team-${i}`, '1');
    assert.equal((await refused(`${url}/one-more`, { release: '1', repository: mirror }))[0], 409);
  });

  test('the catalogue: which app in which version, on how many and which devices, since when', async () => {
    await using one = await board('app-12');
    await using other = await board('app-13');
    const app = (version: string, state: 'running' | 'failed' = 'running') =>
      appStatus({ name: 'catalogued', version, state });
    one.report([], [app('1.0')]);
    other.report([], [app('1.0', 'failed')]);
    const list = async (query = '') => (await service.get(`/v3/apps?name__eq=catalogued${query}`)).body.data;
    await eventually(async () => (await list())[0]?.devices_count === 2, 'both have it');
    const [entry] = await list();
    assert.deepEqual([entry.running_count, entry.failing_count, entry.devices.length], [1, 1, 2]);
    const { since } = entry;
    other.report([], [app('1.1')]);
    await eventually(async () => (await list()).length === 2, 'another version');
    const versions = async (query = '') =>
      (await list(query)).map((row: { version: string; devices_count: number }) => [
        row.version,
        row.devices_count,
      ]);
    assert.deepEqual(await versions(), [
      ['1.0', 1],
      ['1.1', 1],
    ]);
    assert.deepEqual(await versions('&order=DESC'), (await versions()).toReversed());
    const [first] = await list();
    assert.equal(first.since, since, 'it is there since then');
    assert.deepEqual((await versions(`&after=${first.id}`)).flat(), ['1.1', 1]);
    const devices = (await service.get('/v3/apps/catalogued/devices?version__eq=1.1')).body.data;
    assert.deepEqual(
      devices.map(({ device_id: id }: { device_id: string }) => id),
      [other.id],
    );
    const paged = await service.get('/v3/apps/catalogued/devices?limit=2&include=total_count');
    assert.equal(paged.body.total_count, 2);
    await service.call('DELETE', `/v3/devices/${other.id}`);
    assert.deepEqual(await versions(), [['1.0', 1]]);
  });
});
