// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DatabaseProxy } from '../../testing/database-proxy.ts';
import { enrol, eventually, TestDevice } from '../../testing/device.ts';
import { TestRepository } from '../../testing/repository.ts';
import { newDatabase, TestService } from '../../testing/service.ts';
import { UpdatableDevice } from '../../testing/updatable-device.ts';
import type { LookTiming } from '../requests/looks.ts';
import type { ReleaseOrder } from './model.ts';

const timing: LookTiming = {
  timeoutMs: 20_000,

  shortestMs: 10,
  longestMs: 40,
  againMs: 300_000,
};

describe('an order to go to a release', { timeout: 400_000 }, () => {
  const stack = new AsyncDisposableStack();
  let service: TestService;
  let proxy: DatabaseProxy;
  let ahead = 0;
  before(async () => {
    const repository = stack.use(await TestRepository.open());
    for (const name of ['1.0', '1.1', '1.2']) await repository.release(name);
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

  const order = async (id: string, release: string): Promise<ReleaseOrder> => {
    const { status, body } = await service.call('PUT', `/v3/devices/${id}/release`, { release });
    assert.equal(status, 200, JSON.stringify(body));
    return body.order;
  };
  const shown = async (id: string) => (await service.get(`/v3/devices/${id}/release`)).body;
  const stands = async (id: string, state: string, reason = state): Promise<ReleaseOrder> =>
    await eventually(async () => {
      const { order: now } = await shown(id);
      return now?.state === state && now.reason === reason ? now : undefined;
    }, `${state} ${reason}`);
  const eventsOf = async (id: string): Promise<string[]> =>
    (await service.get(`/v3/device-events?device_id__eq=${id}&limit=500`)).body.data
      .map((event: { event_type: string }) => event.event_type)
      .filter((type: string) => type.startsWith('device.update-'))
      .map((type: string) => type.replace('device.update-', ''));

  /** A device that runs 1.0, and is there. */
  const board = async (name: string): Promise<UpdatableDevice> => {
    const device = await UpdatableDevice.enrolled(service, name, TestRepository.buildId('1.0'));
    await device.start();
    await eventually(async () => (await shown(device.id)).release === '1.0', 'it runs 1.0');
    return device;
  };

  /** The device has brought the release and was told to start it. */
  const begin = async (device: UpdatableDevice, release: string): Promise<void> => {
    const { starts } = device;
    await eventually(async () => device.session.uri === `#${release}`, 'it is told');
    await stands(device.id, 'downloading');
    device.downloaded();
    await eventually(async () => device.starts > starts, 'it is to start it');
  };

  test('is carried out: told, brought, started, proved', async () => {
    await using device = await board('board-1');
    const made = await order(device.id, '1.1');
    assert.deepEqual([made.state, made.release, made.ended_at], ['waiting', '1.1', null]);
    await eventually(async () => device.session.uri === '#1.1', 'it is told');
    Object.assign(device.session, { detail: 'root: 7%', fetched: 7_000_000_000, toFetch: 100_000_000_000 });
    const loading = await stands(device.id, 'downloading');
    await eventually(
      async () => (await shown(device.id)).order.sentence === 'Downloads 1.1: root: 7%',
      'progress',
    );
    assert.equal(
      (await shown(device.id)).order.changed_at,
      loading.changed_at,
      'bytes are no change of state',
    );
    device.downloaded();
    await eventually(async () => device.starts === 1, 'it is to start it');
    await device.restart();
    await stands(device.id, 'trial');
    device.build = TestRepository.buildId('1.1');
    await device.judge();
    const done = await stands(device.id, 'done');
    assert.equal(done.id, made.id);
    assert.notEqual(done.ended_at, null);
    assert.equal((await shown(device.id)).release, '1.1');
    assert.deepEqual(device.told, ['#1.1']);
    assert.deepEqual(await eventsOf(device.id), ['ordered', 'started', 'done']);
    const { body } = await service.get('/v3/devices?release__eq=1.1');
    assert.deepEqual(
      body.data.map((one: { id: string }) => one.id),
      [device.id],
    );
  });

  test('waits for a device that is away, and the second one takes the place of the first', async () => {
    await using device = await board('board-2');
    await device.off();
    await eventually(async () => !(await service.get(`/v3/devices/${device.id}`)).body.online, 'away');
    const first = await order(device.id, '1.1');
    await stands(device.id, 'waiting', 'device-away');
    assert.equal((await order(device.id, '1.1')).id, first.id, 'the same order twice is one');
    const second = await order(device.id, '1.2');
    assert.notEqual(second.id, first.id);
    assert.equal((await service.get(`/v3/release-orders/${first.id}`)).body.state, 'replaced');
    await device.start();
    await eventually(async () => device.session.uri === '#1.2', 'it is told');
    assert.deepEqual(device.told, ['#1.2']);
    await eventually(async () => (await eventsOf(device.id)).length === 4, 'seen to have taken it');
    assert.deepEqual(await eventsOf(device.id), ['ordered', 'cancelled', 'ordered', 'started']);
    await order(device.id, '1.1');
    await eventually(async () => device.session.uri === '#1.1', 'and the third of the second, on the way');
    await begin(device, '1.1');
  });

  test('of two at once one runs, and the device is told the newer one last', async () => {
    await using device = await board('board-3');
    await Promise.all([order(device.id, '1.1'), order(device.id, '1.2')]);
    const { order: now } = await shown(device.id);
    await eventually(async () => device.session.uri === `#${now.release}`, 'the newer one');
    const { body } = await service.get(`/v3/release-orders?device_id__eq=${device.id}`);
    assert.deepEqual(
      body.data.map((one: ReleaseOrder) => one.ended_at === null),
      [false, true],
    );
  });

  test('goes on where it was after a restart of the service, at each step', async () => {
    await using device = await board('board-4');
    await order(device.id, '1.1');
    await eventually(async () => device.session.uri === '#1.1', 'it is told');
    await service.restart();
    await stands(device.id, 'waiting', 'device-away');
    await device.reconnect();
    await stands(device.id, 'downloading');
    await service.restart();
    device.downloaded();
    await device.reconnect();
    await eventually(async () => device.starts === 1, 'it is to start it');
    await service.restart();
    await device.restart();
    await stands(device.id, 'trial');
    await service.restart();
    device.build = TestRepository.buildId('1.1');
    await device.judge();
    await device.reconnect();
    await stands(device.id, 'done');
    assert.deepEqual(device.told, ['#1.1'], 'told once');
    assert.equal(device.starts, 1);
    assert.deepEqual(await eventsOf(device.id), ['ordered', 'started', 'done']);
  });

  test('survives answers that are lost: to the Package URI, and to Update', async () => {
    await using device = await board('board-5');
    device.onUri = async (_uri, take) => {
      take();
      device.onUri = undefined;
      await device.disconnect();
    };
    device.onUpdate = () => device.disconnect();
    await order(device.id, '1.1');
    await eventually(async () => device.told.length === 1, 'it is told');
    await device.reconnect();
    await stands(device.id, 'downloading');
    assert.deepEqual(device.told, ['#1.1'], 'not a second time');
    device.downloaded();
    await eventually(async () => device.starts === 1, 'it is to start it');
    await device.restart();
    await stands(device.id, 'trial');
    await device.judge();
    await stands(device.id, 'done');
    assert.equal(device.starts, 1);
  });

  test('a device whose client forgets is told again, and one that is replaced too', async () => {
    await using device = await board('board-6');
    await order(device.id, '1.1');
    await stands(device.id, 'downloading');
    await device.start();
    await eventually(async () => device.told.length === 2, 'told again');
    await begin(device, '1.1');
    // Another board of the same name, which knows of no update, in the middle of the trial.
    device.outcome = { state: 'none', release: '', reason: '' };
    await device.start();
    await eventually(async () => device.told.length === 3, 'the new one is told');
    await begin(device, '1.1');
    await device.restart();
    await device.judge();
    await stands(device.id, 'done');
    assert.deepEqual(await eventsOf(device.id), ['ordered', 'started', 'done']);
  });

  test('a device that goes back is not sent again by itself, and says why', async () => {
    await using device = await board('board-7');
    await order(device.id, '1.1');
    await begin(device, '1.1');
    await device.restart();
    await device.judge('the check 10-sensor ended with 3');
    const back = await stands(device.id, 'fell-back', 'update/unhealthy');
    assert.match(back.sentence, /^Went back from 1\.1 .*: the check 10-sensor ended with 3$/);
    await device.start();
    await device.reconnect();
    const { release, last_fallback: last, order: now } = await shown(device.id);
    assert.deepEqual([release, last.id, now.id], ['1.0', back.id, back.id]);
    assert.deepEqual(device.told, ['#1.1']);
    assert.deepEqual(await eventsOf(device.id), ['ordered', 'started', 'failed']);
    // Somebody asks for it: then it is, and the failure from before is none of it.
    const again = await order(device.id, '1.1');
    await begin(device, '1.1');
    await device.restart();
    await device.judge();
    assert.equal((await stands(device.id, 'done')).id, again.id);
    assert.equal((await shown(device.id)).last_fallback.id, back.id);
  });

  test('what the device refuses ends it; what it could not fetch is asked for again later', async () => {
    await using device = await board('board-8');
    await order(device.id, '1.1');
    await stands(device.id, 'downloading');
    device.fails(5, 'nobody signed it');
    assert.equal(
      (await stands(device.id, 'refused', 'update/signature-invalid')).sentence,
      'Did not install 1.1: nobody signed it',
    );
    await order(device.id, '1.1');
    await stands(device.id, 'downloading');
    device.fails(4, 'the server stayed away');
    await stands(device.id, 'waiting', 'update/mirror-unreachable');
    const { length } = device.told;
    ahead = 400_000;
    await eventually(async () => device.told.length > length, 'asked again');
    ahead = 0;
    await stands(device.id, 'downloading');
  });

  test('a device that runs the release is left alone, and one without object 5 is said to be', async () => {
    await using device = await board('board-9');
    await order(device.id, '1.0');
    assert.equal((await stands(device.id, 'done', 'already-there')).sentence, 'Runs 1.0 already');
    assert.deepEqual(device.told, []);
    const plain = await enrol(service, 'board-10');
    await using _ = await TestDevice.register(service, plain);
    await order(plain.deviceId, '1.1');
    await stands(plain.deviceId, 'failed', 'not-updatable');
  });

  test('is called off: before it began, on the way, not when it is too late', async () => {
    await using device = await board('board-11');
    const cancel = async () => await service.call('DELETE', `/v3/devices/${device.id}/release`);
    await device.disconnect();
    await order(device.id, '1.1');
    assert.equal((await cancel()).body.order.state, 'cancelled');
    assert.equal((await cancel()).status, 200, 'twice');
    await device.reconnect();
    await order(device.id, '1.1');
    await stands(device.id, 'downloading');
    await cancel();
    await eventually(async () => device.session.state === 'idle', 'it gives up what it brought');
    await order(device.id, '1.2');
    await begin(device, '1.2');
    const late = await cancel();
    assert.deepEqual([late.status, late.body.type], [409, 'conflict']);
    // A newer order waits until the device has judged what it tries.
    await order(device.id, '1.1');
    await stands(device.id, 'waiting', 'other-update');
    await device.restart();
    await device.judge();
    await begin(device, '1.1');
  });

  test('while the database is away the device goes on, and nothing is lost', async () => {
    await using device = await board('board-12');
    await order(device.id, '1.1');
    await stands(device.id, 'downloading');
    proxy.away();
    device.downloaded();
    assert.equal(
      (await service.call('PUT', `/v3/devices/${device.id}/release`, { release: '1.2' })).status,
      500,
    );
    proxy.back();
    await eventually(async () => device.starts === 1, 'it is to start it');
    await device.restart();
    await device.judge();
    await stands(device.id, 'done');
    assert.deepEqual(await eventsOf(device.id), ['ordered', 'started', 'done']);
  });

  test('an order whose answer from the database is lost is carried out, once', async () => {
    await using device = await board('board-13');
    proxy.loseAnswerToCommit();
    await service.call('PUT', `/v3/devices/${device.id}/release`, { release: '1.1' });
    proxy.back();
    await eventually(async () => device.session.uri === '#1.1', 'it is told');
    assert.deepEqual((await eventsOf(device.id)).slice(0, 1), ['ordered']);
    await begin(device, '1.1');
    proxy.loseAnswerToCommit();
    await device.restart();
    await device.judge();
    await stands(device.id, 'done');
    proxy.back();
    assert.deepEqual(await eventsOf(device.id), ['ordered', 'started', 'done']);
  });

  test('a release that nobody has, a device that is not there, a URL that is none: refused', async () => {
    await using device = await board('board-14');
    const put = async (id: string, body: object) =>
      await service.call('PUT', `/v3/devices/${id}/release`, body);
    const unknown = await put(device.id, { release: '9' });
    assert.deepEqual([unknown.status, unknown.body.fields[0].message], [400, 'The service has no release 9']);
    assert.equal((await put('0'.repeat(32), { release: '1.1' })).status, 404);
    for (const repository of ['coap://x/', 'https://x/#1.1', 'no'])
      assert.equal((await put(device.id, { release: '9', repository })).status, 400);
    const repository = 'https://mirror.example/releases/';
    assert.equal((await put(device.id, { release: '9', repository })).status, 200);
    await eventually(
      async () => device.session.uri === `${repository}#9`,
      'another repository is the device’s affair',
    );
  });

  test('a group: each member, and who is in it', async () => {
    await using one = await board('board-15');
    await using other = await board('board-16');
    const made = await service.call('POST', '/v3/device-groups/', {
      name: 'lab',
      description: 'On the desk',
    });
    assert.equal(made.status, 201);
    const group = `/v3/device-groups/${made.body.id}`;
    assert.equal((await service.call('POST', '/v3/device-groups', { name: 'lab' })).status, 409);
    const member = async (verb: string, device_id: string) =>
      (await service.call('POST', `${group}/devices/${verb}/`, { device_id })).status;
    for (const id of [one.id, other.id, other.id]) assert.equal(await member('add', id), 204);
    assert.equal(await member('add', '7'), 404);
    assert.equal((await service.get(group)).body.devices_count, 2);
    assert.deepEqual((await service.get(`/v3/devices/${one.id}`)).body.groups, [made.body.id]);
    assert.equal((await service.get('/v3/device-groups?devices_count__gte=2')).body.data.length, 1);
    await order(one.id, '1.1');
    const { status, body } = await service.call('PUT', `${group}/release`, { release: '1.1' });
    assert.deepEqual([status, body.ordered, body.unchanged], [200, 1, 1]);
    await eventually(async () => one.session.uri === '#1.1' && other.session.uri === '#1.1', 'both are told');
    const orders = (await service.get(`/v3/release-orders?group_order_id__eq=${body.id}`)).body.data;
    assert.deepEqual(
      orders.map((row: ReleaseOrder) => row.device_id),
      [other.id],
    );
    const { body: release } = await service.get('/v3/releases/1.1');
    assert.equal(release.ordered_count >= 2, true);
    assert.equal(await member('remove', one.id), 204);
    assert.deepEqual(
      (await service.get(`${group}/devices`)).body.data.map((row: { id: string }) => row.id),
      [other.id],
    );
    const renamed = await service.call('PUT', group, { name: 'bench' });
    assert.equal(renamed.body.name, 'bench');
    assert.equal((await service.call('DELETE', group)).status, 204);
    assert.equal((await service.get(group)).status, 404);
    assert.equal(
      (await service.get(`/v3/release-orders/${orders[0].id}`)).body.group_id,
      null,
      'orders stay',
    );
  });

  test('releases are listed, with what they hold', async () => {
    const { body } = await service.get('/v3/releases');
    assert.deepEqual(
      body.data.map((one: { name: string }) => one.name),
      ['1.0', '1.1', '1.2'],
    );
    const [{ machines }] = body.data;
    assert.deepEqual(
      machines[0].components.map((part: { name: string; version: string }) => `${part.name} ${part.version}`),
      ['kernel 1.0', 'root 1.0'],
    );
    assert.equal((await service.get('/v3/releases/9')).status, 404);
  });
});
