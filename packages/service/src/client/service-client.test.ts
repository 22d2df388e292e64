// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  deviceModel,
  Lwm2mClient,
  objectInstance,
  type ReportingInstance,
  serverObject,
  softwareComponentModel,
} from '@mbl/lwm2m';
import { enrol, eventually, TestDevice, type TestIdentity } from '../testing/device.ts';
import { TestService } from '../testing/service.ts';
import { ServiceClient } from './service-client.ts';
import type { NotificationMessage } from './types.ts';
import type { Watch } from './watch.ts';

/** Reads a watch until a message satisfies the check. */
async function next<T>(watch: Watch, check: (message: NotificationMessage) => T | undefined): Promise<T> {
  for await (const message of watch) {
    const found = check(message);
    if (found !== undefined) return found;
  }
  throw new Error('the watch ended');
}

describe('a program that uses the service', { timeout: 240_000 }, () => {
  let service: TestService;
  let client: ServiceClient;
  let identity: TestIdentity;
  let device: Lwm2mClient;
  let deviceObject: ReportingInstance<keyof typeof deviceModel.rows>;
  let connection: TestDevice;
  let battery = 80;
  let reboots = 0;

  async function connect(): Promise<void> {
    connection = await TestDevice.connect(service, identity, { handler: device.handler });
    await device.attach(connection.peer);
  }

  before(async () => {
    service = await TestService.start({ keepAlive: { intervalMs: 1000, timeoutMs: 1000 } });
    const { http, apiKey } = service.service.file;
    client = new ServiceClient({ url: http, apiKey });
    identity = await enrol(service, 'board-1');
    let zone = 'Etc/UTC';
    deviceObject = objectInstance(deviceModel, 0, {
      manufacturer: 'ARM',
      reboot: {
        execute: () => {
          reboots += 1;
        },
      },
      batteryLevel: { read: () => battery },
      errorCode: new Map([[0, 0]]),
      timezone: {
        read: () => zone,
        write: (value) => {
          zone = value;
        },
      },
      supportedBindingAndModes: 'T',
    });
    device = new Lwm2mClient({
      endpointName: 'board-1',
      objects: [
        serverObject({ lifetime: 300 }),
        deviceObject,
        objectInstance(softwareComponentModel, 0, { componentIdentity: 'kernel', componentVersion: '6.12' }),
      ],
    });
    await connect();
  });
  after(async () => {
    await connection[Symbol.asyncDispose]();
    await device[Symbol.asyncDispose]();
    await service[Symbol.asyncDispose]();
  });

  test('finds devices by name and by id, and lists over pages', async () => {
    assert.equal((await client.findDevice('board-1')).id, identity.deviceId);
    assert.equal((await client.findDevice(identity.deviceId)).endpoint_name, 'board-1');
    await assert.rejects(client.findDevice('nobody'), { code: 'service/no-such-device' });
    assert.deepEqual(
      (await client.listDevices({ filter: { online__eq: 'true' } })).map((one) => one.endpoint_name),
      ['board-1'],
    );
    assert.ok((await client.listEvents({ filter: { device_id__eq: identity.deviceId } })).length >= 4);
    await assert.rejects(client.listDevices({ filter: { colour__eq: 'red' } }), {
      code: 'service/validation-error',
      message: /colour__eq: Unknown filter/,
    });
    assert.deepEqual((await client.listResources(identity.deviceId)).map((one) => one.uri).toSorted(), [
      '/1',
      '/1/0',
      '/14/0',
      '/3',
      '/3/0',
    ]);
  });

  test('reads, writes and executes', async () => {
    const { deviceId } = identity;
    assert.deepEqual(await client.read(deviceId, '/3/0/0'), [
      { path: '/3/0/0', value: 'ARM', type: 'string', name: 'Manufacturer' },
    ]);
    const all = await client.read(deviceId, '/3/0');
    assert.deepEqual(Object.fromEntries(all.map((one) => [one.path, one.value])), {
      '/3/0/0': 'ARM',
      '/3/0/9': 80,
      '/3/0/11/0': 0,
      '/3/0/15': 'Etc/UTC',
      '/3/0/16': 'T',
    });
    await client.write(deviceId, '/3/0/15', 'Europe/Helsinki');
    assert.equal((await client.read(deviceId, '3/0/15'))[0]?.value, 'Europe/Helsinki');
    await client.write(deviceId, '/1/0/1', '600');
    await eventually(async () => (await client.getDevice(deviceId)).lifetime === 600, 'the new lifetime');
    await client.execute(deviceId, '/3/0/4', "0='now'");
    assert.equal(reboots, 1);
    const several = await service.call('PUT', `/v3/devices/${deviceId}/resources/1/0`, {
      resources: [
        { path: '/1/0/2', value: 0 },
        { path: '/1/0/1', value: '900' },
      ],
    });
    assert.equal(several.status, 204, JSON.stringify(several.body));
    assert.equal((await client.read(deviceId, '/1/0/2'))[0]?.value, 0);
  });

  test('says why the device, or the service, refused', async () => {
    const { deviceId } = identity;
    await assert.rejects(client.read(deviceId, '/3/0/77'), { code: 'service/not-found', message: /4\.04/ });
    await assert.rejects(client.write(deviceId, '/3/0/0', 'Acme'), {
      code: 'service/method-not-allowed',
      message: /4\.05/,
    });
    await assert.rejects(client.write(deviceId, '/1/0/1', 'soon'), {
      code: 'service/validation-error',
      message: /integer/,
    });
    await assert.rejects(client.read(deviceId, '/three'), { code: 'service/validation-error' });
    await assert.rejects(client.read('0'.repeat(32), '/3/0'), { code: 'service/not-found' });
    const away = await enrol(service, 'away');
    await assert.rejects(client.read(away.deviceId, '/3/0'), { code: 'service/not-connected' });
    await assert.rejects(
      new ServiceClient({ url: service.service.file.http, apiKey: 'ak_1wrong' }).listDevices(),
      { code: 'service/invalid-auth' },
    );
    await assert.rejects(new ServiceClient({ url: 'http://127.0.0.1:9', apiKey: 'x' }).listDevices(), {
      code: 'service/unreachable',
    });
  });

  test('watches a resource, presence and answers; a subscription outlives a reconnection', async () => {
    const { deviceId } = identity;
    await using watch = await client.watch({ resources: [{ deviceId, path: '/3/0/9' }] });
    const first = await next(watch, (message) => message['async-responses']?.[0]);
    assert.equal(first.status, 200);
    battery = 79;
    deviceObject.changed('batteryLevel');
    const noted = await next(watch, (message) => message.notifications?.[0]);
    assert.deepEqual([noted.ep, noted['original-ep'], noted.path], [deviceId, 'board-1', '/3/0/9']);
    assert.equal(Buffer.from(noted.payload, 'base64').toString(), '79');

    await client.requestAsync(deviceId, 'my-id', { method: 'GET', uri: '/3/0/0', accept: 'text/plain' });
    const answer = await next(watch, (message) =>
      message['async-responses']?.find((one) => one.id === 'my-id'),
    );
    assert.deepEqual(
      [answer.status, Buffer.from(answer.payload ?? '', 'base64').toString(), answer.ct],
      [200, 'ARM', 'text/plain'],
    );

    connection.socket.destroy();
    const gone = await next(watch, (message) =>
      message['device-events']?.find((one) => one.event_type === 'device.offline'),
    );
    assert.equal(gone.device_id, deviceId);
    await connect();
    const registered = await next(watch, (message) => message.registrations?.[0]);
    assert.deepEqual([registered.ep, registered['original-ep']], [deviceId, 'board-1']);
    const current = await next(watch, (message) => message.notifications?.[0]);
    assert.equal(
      Buffer.from(current.payload, 'base64').toString(),
      '79',
      'the value that it has after the gap',
    );
    battery = 78;
    deviceObject.changed('batteryLevel');
    const later = await next(watch, (message) => message.notifications?.[0]);
    assert.equal(Buffer.from(later.payload, 'base64').toString(), '78');
  });

  test('a watch ends its subscriptions with itself, and not those of others', async () => {
    const { deviceId } = identity;
    const listed = async () => (await service.get(`/v2/subscriptions/${deviceId}`)).body;
    await eventually(async () => (await listed()) === '', 'the one before has ended');
    assert.equal(await client.subscribe(deviceId, '/3/0/0'), true);
    {
      await using watch = await client.watch({
        resources: [
          { deviceId, path: '/3/0/0' },
          { deviceId, path: '/3/0/16' },
        ],
      });
      assert.ok(watch);
      assert.equal(await listed(), '/3/0/0\n/3/0/16\n');
    }
    await eventually(async () => (await listed()) === '/3/0/0\n', 'its own has ended');
    await client.unsubscribe(deviceId, '/3/0/0');

    const resources = [{ deviceId, path: '/3/0/9' }];
    const [one, other] = [await client.watch({ resources }), await client.watch({ resources })];
    await one[Symbol.asyncDispose]();
    await new Promise((done) => setTimeout(done, 200));
    battery = 42;
    deviceObject.changed('batteryLevel');
    const heard = () =>
      next(other, (message) => message.notifications?.find((note) => atob(note.payload) === '42'));
    assert.equal((await heard()).path, '/3/0/9');
    await other[Symbol.asyncDispose]();
    await eventually(async () => (await listed()) === '', 'the last has ended');
    const stop = new AbortController();
    await using watch = await client.watch({ signal: stop.signal });
    setTimeout(() => stop.abort(), 50);
    for await (const message of watch) assert.ok(message);
  });

  test('a watch says that the service went away', async () => {
    const other = await TestService.start();
    const watching = await new ServiceClient({
      url: other.service.file.http,
      apiKey: other.service.file.apiKey,
    }).watch();
    await other[Symbol.asyncDispose]();
    await assert.rejects(
      next(watching, () => undefined),
      { code: 'service/connection-lost' },
    );
  });
});
