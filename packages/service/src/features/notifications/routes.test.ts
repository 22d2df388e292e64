// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { WebSocket } from 'ws';
import { enrol, TestDevice } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';
import { Channel, eventLifeMs, queueBytes } from './channel.ts';

describe('notification channels', () => {
  let service: TestService;
  before(async () => {
    service = await TestService.start();
  });
  after(() => service[Symbol.asyncDispose]());

  const url = (query = '') =>
    `${service.service.file.http.replace('http', 'ws')}/v2/notification/websocket-connect${query}`;
  const bearer = () => ({ headers: { authorization: `Bearer ${service.service.file.apiKey}` } });

  test('long poll: events wait, come merged, and one poll at a time', async () => {
    const polling = service.get('/v2/notification/pull');
    await new Promise((done) => setTimeout(done, 100));
    assert.equal((await service.get('/v2/notification/pull')).status, 409);
    const identity = await enrol(service, 'polled');
    const first = await polling;
    assert.equal(first.status, 200);
    assert.equal(first.body['device-events'][0].event_type, 'device.created');
    await using device = await TestDevice.register(service, identity);
    await device.post(device.location, []);
    const { body } = await service.get('/v2/notification/pull');
    assert.equal(body.registrations[0].ep, identity.deviceId);
    assert.equal(body.registrations[0]['original-ep'], 'polled');
    assert.ok(body.registrations[0].resources.some((one: { path: string }) => one.path === '/3/0'));
    assert.equal(body['reg-updates'][0].ep, identity.deviceId);
    assert.deepEqual((await service.get('/v2/notification/channel')).body, {
      delivery_mechanism: 'LONG_POLLING',
    });
    assert.equal((await service.call('PUT', '/v2/notification/websocket')).status, 409, 'one kind at a time');
    const waiting = service.get('/v2/notification/pull');
    await new Promise((done) => setTimeout(done, 50));
    assert.equal((await service.call('DELETE', '/v2/notification/pull')).status, 200);
    const gone = await waiting;
    assert.deepEqual([gone.status, gone.body], [410, 'CHANNEL_DELETED']);
  });

  test('WebSocket: registered first, key in a header or a subprotocol, the second takes over', async () => {
    const refused = new WebSocket(url(), bearer());
    const [error] = await once(refused, 'error');
    assert.match(String(error), /400/);
    const anonymous = new WebSocket(url());
    assert.match(String((await once(anonymous, 'error'))[0]), /401/);
    assert.equal((await service.call('PUT', '/v2/notification/websocket')).status, 201);
    const cfg = { include_uid: false, include_timestamp: false };
    const serialization = { type: 'v2', max_chunk_size: 1000, cfg };
    assert.equal((await service.call('PUT', '/v2/notification/websocket', { serialization })).status, 200);
    const more = { serialization: { ...serialization, cfg: { include_uid: true } } };
    assert.equal((await service.call('PUT', '/v2/notification/websocket', more)).status, 400, 'not served');
    await service.call('POST', '/v3/devices', { endpoint_name: 'while-away' });
    const state = (await service.get('/v2/notification/websocket')).body;
    assert.equal(state.status, 'disconnected');
    assert.ok(state.queue_size >= 1);

    const first = new WebSocket(url(), bearer());
    const [data] = await once(first, 'message');
    assert.match(String(data), /while-away/);
    assert.equal((await service.get('/v2/notification/websocket')).body.status, 'connected');
    const second = new WebSocket(url(), ['wss', `pelion_${service.service.file.apiKey}`]);
    const [code] = await once(first, 'close');
    assert.equal(code, 1008);
    assert.equal(second.protocol, 'wss');
    const message = once(second, 'message');
    await service.call('POST', '/v3/devices', { endpoint_name: 'while-here' });
    assert.match(String((await message)[0]), /while-here/);
    assert.equal((await service.call('DELETE', '/v2/notification/websocket')).status, 204);
    assert.equal((await once(second, 'close'))[0], 1000);
    assert.equal((await service.get('/v2/notification/websocket')).status, 404);
  });

  test('a named channel is there for as long as its socket', async () => {
    const [one, two] = [
      new WebSocket(url('?channel=one'), bearer()),
      new WebSocket(url('?channel=two'), bearer()),
    ];
    await Promise.all([once(one, 'open'), once(two, 'open')]);
    const both = Promise.all([once(one, 'message'), once(two, 'message')]);
    await service.call('POST', '/v3/devices', { endpoint_name: 'for-all' });
    for (const [data] of await both) assert.match(String(data), /for-all/);
    one.close();
    two.close();
    const bad = new WebSocket(url('?channel=not%20this'), bearer());
    assert.match(String((await once(bad, 'error'))[0]), /400/);
  });

  test('a WebSocket that is refused leaves no channel behind', async () => {
    const odd = await upgrade(service, 'odd', 1);
    assert.match(odd.answer, /^HTTP\/1\.1 400/);
    const polling = service.get('/v2/notification/pull?channel=odd');
    await new Promise((done) => setTimeout(done, 100));
    await service.call('POST', '/v3/devices', { endpoint_name: 'for-odd' });
    assert.equal((await polling).status, 200);
  });

  test('an API key that is disabled or deleted hears no more', async () => {
    const { id, key } = (await service.call('POST', '/v3/api-keys', { name: 'watcher' })).body;
    const headers = { authorization: `Bearer ${key}` };
    const open = async () => {
      const socket = new WebSocket(url('?channel=theirs'), { headers });
      await once(socket, 'open');
      return socket;
    };
    const mine = new WebSocket(url('?channel=mine'), bearer());
    await once(mine, 'open');
    const polling = service.call('GET', '/v2/notification/pull', undefined, headers);
    await new Promise((done) => setTimeout(done, 100));
    const disabled = once(await open(), 'close');
    assert.equal((await service.call('PUT', `/v3/api-keys/${id}`, { status: 'INACTIVE' })).status, 200);
    await disabled;
    assert.equal((await polling).status, 410);
    assert.equal((await service.call('PUT', `/v3/api-keys/${id}`, { status: 'ACTIVE' })).status, 200);
    const deleted = once(await open(), 'close');
    assert.equal((await service.call('DELETE', `/v3/api-keys/${id}`)).status, 204);
    await deleted;
    assert.equal(mine.readyState, WebSocket.OPEN, 'another key keeps its own');
    mine.close();
  });
});

/** Asks for a WebSocket and says no more. */
async function upgrade(service: TestService, channel: string, version: number) {
  const { ports, apiKey } = service.service.file;
  const socket = connect(ports.http, '127.0.0.1');
  const lines = [
    `GET /v2/notification/websocket-connect?channel=${channel} HTTP/1.1`,
    'host: localhost',
    `authorization: Bearer ${apiKey}`,
    'connection: upgrade',
    'upgrade: websocket',
    `sec-websocket-version: ${version}`,
    'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  return { socket, answer: String(answer) };
}

test('a client that answers nothing does not hold up the stop', async () => {
  const service = await TestService.start();
  const { socket, answer } = await upgrade(service, 'mute', 13);
  assert.match(answer, /^HTTP\/1\.1 101/);
  const from = Date.now();
  await service[Symbol.asyncDispose]();
  assert.ok(Date.now() - from < 60_000, `${Date.now() - from} ms`);
  socket.destroy();
});

test('a channel is bounded in bytes, items a message and age, and loses the oldest first', () => {
  const channel = new Channel('test', 'long-poll', 0, 3);
  const message = (id: string) => ({ 'de-registrations': [id] });
  channel.push(message('old'), 10, 0);
  for (let n = 0; n < 5; n++) channel.push(message(String(n)), 10, eventLifeMs + 1);
  assert.deepEqual(channel.take(), { 'de-registrations': ['0', '1', '2'] });
  assert.deepEqual(channel.take(), { 'de-registrations': ['3', '4'] });
  assert.equal(channel.take(), undefined);
  channel.push(message('large'), queueBytes, 0);
  channel.push(message('next'), 1, 0);
  assert.deepEqual(channel.take(), { 'de-registrations': ['next'] });
});

test('waiting leaves nothing behind, however many events come over one connection', async () => {
  const channel = new Channel('test', 'websocket', 0);
  const { signal } = new AbortController();
  for (let n = 0; n < 100; n++) {
    const ready = channel.ready(signal);
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    channel.push({ 'de-registrations': [String(n)] }, 1, 0);
    await ready;
    channel.take();
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('whatever is pushed comes out once and in order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.string(), { minLength: 1, maxLength: 5 })),
      fc.integer({ min: 1, max: 20 }),
      (pushed, chunk) => {
        const channel = new Channel('test', 'websocket', 0, chunk);
        for (const ids of pushed) channel.push({ 'de-registrations': ids }, 1, 0);
        const taken: string[] = [];
        for (let message = channel.take(); message !== undefined; message = channel.take()) {
          taken.push(...(message['de-registrations'] ?? []));
        }
        assert.deepEqual(taken, pushed.flat());
      },
    ),
  );
});
