// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  type CoapResponse,
  Code,
  contentFormatOption,
  maxAgeOption,
  type Observer,
  type RequestHandler,
  uriPathOptions,
} from '@mbl/coap';
import pg from 'pg';
import { WebSocket } from 'ws';
import { enrol, eventually, TestDevice, type TestIdentity } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';
import type { NotificationMessage } from '../notifications/message.ts';
import { queueLimit } from '../requests/device-requests.ts';

const value = (text: string, maxAge?: number): CoapResponse => ({
  code: Code.CONTENT,
  options: [contentFormatOption(0), ...(maxAge === undefined ? [] : [maxAgeOption(maxAge)])],
  payload: Buffer.from(text),
});

/** Lets a service wait for a table, and then breaks the connection that waits. */
class Blocked implements AsyncDisposable {
  readonly #database: pg.Client;
  readonly #table: string;

  constructor({ options }: TestService, table: string) {
    this.#database = new pg.Client(options.databaseUrl);
    this.#table = table;
  }

  async block(): Promise<void> {
    await this.#database.connect();
    await this.#database.query(`begin; lock table ${this.#table} in access exclusive mode`);
  }

  async breakOff(): Promise<void> {
    await eventually(async () => {
      const { rows } = await this.#database.query(
        `select pg_terminate_backend(pid) from pg_locks where not granted and relation = '${this.#table}'::regclass`,
      );
      return rows.length > 0;
    }, 'it waits');
    await this.#database.query('commit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#database.end();
  }
}

describe('subscriptions', { timeout: 240_000 }, () => {
  let service: TestService;
  let identity: TestIdentity;
  let names = 0;
  /** How often the device was asked to observe, and who observes it now. */
  let asked = 0;
  let observers: Observer[] = [];
  let answering = Promise.withResolvers<void>();
  const handler: RequestHandler = async (_request, { acceptObserve }) => {
    if (acceptObserve !== undefined) asked += 1;
    await answering.promise;
    if (acceptObserve !== undefined) observers.push(acceptObserve());
    return value('80');
  };
  const live = () => observers.filter(({ signal }) => !signal.aborted).length;
  const path = () => `/v2/subscriptions/${identity.deviceId}`;
  const listed = async () => (await service.get(path())).body;
  const connect = async (name: string) => {
    const { http, apiKey } = service.service.file;
    const url = `${http.replace('http', 'ws')}/v2/notification/websocket-connect?channel=${name}`;
    const socket = new WebSocket(url, ['wss', `pelion_${apiKey}`]);
    await new Promise((done) => socket.once('open', done));
    return socket;
  };

  before(async () => {
    service = await TestService.start();
  });
  beforeEach(async () => {
    asked = 0;
    observers = [];
    answering = Promise.withResolvers();
    identity = await enrol(service, `board-${++names}`);
  });
  after(() => service[Symbol.asyncDispose]());

  test('values carry how long they are fresh, as the device says it', async () => {
    const socket = await connect('ages');
    const messages: NotificationMessage[] = [];
    socket.on('message', (data: Buffer) => {
      messages.push(JSON.parse(data.toString()) as NotificationMessage);
    });
    let acceptedBy: Observer | undefined;
    await using device = await TestDevice.register(service, identity, {
      handler: (_request, { acceptObserve }) => {
        // The registration may observe a second time what was subscribed meanwhile; then the first observation ends.
        if (acceptObserve !== undefined) acceptedBy = acceptObserve();
        return value('80', 3600);
      },
    });
    assert.ok(device);
    const { body } = await service.call('PUT', `${path()}/3/0/9`);
    const first = await eventually(
      async () =>
        messages
          .flatMap((one) => one['async-responses'] ?? [])
          .find(({ id }) => id === body['async-response-id']),
      'the first value',
    );
    assert.equal(first['max-age'], '3600');
    const ages = await eventually(async () => {
      for (const notified of [value('79', 0), value('78', 7200), value('77')]) acceptedBy?.notify(notified);
      const all = messages.flatMap((one) => one.notifications ?? []);
      const begin = all.findIndex(({ payload }) => payload === btoa('79'));
      const three = begin === -1 ? [] : all.slice(begin, begin + 3);
      return three.length === 3 && three.map((one) => one['max-age']);
    }, 'three notifications');
    assert.deepEqual(ages, ['0', '7200', '60']);
    socket.terminate();
  });

  test('one that is removed while the device is asked ends there too', async () => {
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    assert.equal((await service.call('PUT', `${path()}/3/0/9`)).status, 202);
    await eventually(async () => asked >= 1, 'asked');
    assert.equal((await service.call('DELETE', `${path()}/3/0/9`)).status, 204);
    answering.resolve();
    // Once more where what the registration restores comes after the subscription.
    await eventually(async () => observers.length >= 1 && observers.length === asked, 'accepted');
    await eventually(async () => live() === 0, 'ended');
  });

  test('a device is observed once, though it registers while it is asked', async () => {
    await using device = await TestDevice.register(service, identity, { handler });
    assert.equal((await service.call('PUT', `${path()}/3/0/9`)).status, 202);
    await eventually(async () => asked === 1, 'asked');
    await device.registerAgain();
    answering.resolve();
    // Once more where what the first registration restores comes after the subscription.
    await eventually(async () => observers.length >= 2 && observers.length === asked, 'asked anew');
    await eventually(async () => live() === 1 && observers.length === asked, 'the earlier one ended');
  });

  test('a device that registers again on its connection is observed once, and no more when that is removed', async () => {
    answering.resolve();
    await using device = await TestDevice.register(service, identity, { handler });
    for (const resource of ['3/0/9', '3/0/13'])
      assert.equal((await service.call('PUT', `${path()}/${resource}`)).status, 202);
    await eventually(async () => live() === 2, 'observed');
    // Not while it is asked: that is another case.
    await new Promise((done) => setTimeout(done, 200));
    await device.registerAgain();
    await eventually(async () => observers.length >= 4, 'observed anew');
    await eventually(async () => live() === 2, 'the earlier ones ended');
    assert.equal((await service.call('DELETE', path())).status, 204);
    await eventually(async () => live() === 0, 'ended');
  });

  test('a device that deregisters and stays connected is observed no more', async () => {
    answering.resolve();
    await using device = await TestDevice.register(service, identity, { handler });
    assert.equal((await service.call('PUT', `${path()}/3/0/9`)).status, 202);
    await eventually(async () => live() === 1, 'observed');
    await new Promise((done) => setTimeout(done, 200));
    const gone = { code: Code.DELETE, options: uriPathOptions(device.location), payload: new Uint8Array() };
    assert.equal((await device.peer.request(gone)).code, Code.DELETED);
    await eventually(async () => live() === 0, 'ended');
    await device.registerAgain();
    await eventually(async () => observers.length >= 2 && live() === 1, 'observed anew');
  });

  for (const table of ['presubscriptions', 'subscriptions']) {
    test(`a device is observed again although the database breaks off when it is asked for its ${table}`, async () => {
      answering.resolve();
      await using database = new Blocked(service, table);
      assert.equal((await service.call('PUT', `${path()}/3/0/9`)).status, 202);
      await database.block();
      await using device = await TestDevice.register(service, identity, { handler });
      assert.ok(device);
      await database.breakOff();
      await eventually(async () => live() === 1, 'observed');
    });
  }

  test('a full queue loses none of them', async () => {
    answering.resolve();
    assert.equal((await service.call('PUT', `${path()}/3/0/9`)).status, 202);
    const first = await TestDevice.register(service, identity, { handler });
    await eventually(async () => live() === 1, 'observed');
    await first[Symbol.asyncDispose]();
    answering = Promise.withResolvers();
    const url = `/v2/device-requests/${identity.deviceId}?retry=1&async-id=`;
    for (let n = 0; n < queueLimit; n++) {
      assert.equal((await service.call('POST', `${url}${n}`, { method: 'GET', uri: '/3/0/0' })).status, 202);
    }
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    await new Promise((done) => setTimeout(done, 200));
    answering.resolve();
    await eventually(async () => live() === 1, 'observed again');
  });

  test('those of channels end with the last of them, those without stay', async () => {
    answering.resolve();
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    assert.equal((await service.call('PUT', `${path()}/3/0/9?channel=none`)).status, 400);
    const [one, two] = [await connect('one'), await connect('two')];
    assert.equal((await service.call('PUT', `${path()}/3/0/9?channel=one`)).status, 202);
    assert.equal((await service.call('PUT', `${path()}/3/0/9?channel=two`)).status, 200);
    assert.equal((await service.call('PUT', `${path()}/3/0/9?channel=two`)).status, 200);
    assert.equal((await service.call('PUT', `${path()}/3/0/0?channel=one`)).status, 202);
    assert.equal((await service.call('PUT', `${path()}/3/0/0`)).status, 200, 'it stays from now on');
    assert.equal((await service.call('PUT', `${path()}/3/0/1?channel=one`)).status, 202);
    await eventually(async () => live() === 3, 'observed');
    one.close();
    await eventually(async () => (await listed()) === '/3/0/9\n/3/0/0\n', 'what only the first had');
    two.close();
    await eventually(async () => (await listed()) === '/3/0/0\n', 'what both had');
    await eventually(async () => live() === 1, 'ended on the device');

    const three = await connect('three');
    assert.equal((await service.call('PUT', `${path()}/3/0/2?channel=three`)).status, 202);
    await service.restart();
    three.terminate();
    assert.equal(await listed(), '/3/0/0\n', 'no channel outlives the service');
  });
});
