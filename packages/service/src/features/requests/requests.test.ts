// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import {
  type CoapRequest,
  type CoapResponse,
  Code,
  contentFormatOption,
  OptionNumber,
  type RequestHandler,
  uintValue,
  uriPath,
} from '@mbl/coap';
import fc from 'fast-check';
import { ServiceClient } from '../../client/service-client.ts';
import type { AsyncResponse } from '../../client/types.ts';
import type { Watch } from '../../client/watch.ts';
import { HttpError } from '../../infra/http/errors.ts';
import { enrol, eventually, TestDevice, type TestIdentity } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';
import type { DeviceSession } from '../connections/session.ts';
import { DeviceRequests, queueLimit } from './device-requests.ts';
import { RequestFailure, statusOf } from './failure.ts';
import { parseRawRequest } from './raw-request.ts';

const content = (text: string): CoapResponse => ({
  code: Code.CONTENT,
  options: [contentFormatOption(0)],
  payload: Buffer.from(text),
});

/** Collects the answers of a watch by their id. */
class Answers {
  readonly #byId = new Map<string, AsyncResponse>();

  constructor(watch: Watch) {
    void (async () => {
      for await (const message of watch) {
        for (const one of message['async-responses'] ?? []) this.#byId.set(one.id, one);
      }
    })().catch(() => {});
  }

  of(id: string): Promise<AsyncResponse> {
    return eventually(async () => this.#byId.get(id), `the answer ${id}`);
  }
}

describe('device requests', { timeout: 240_000 }, () => {
  let service: TestService;
  let client: ServiceClient;
  let identity: TestIdentity;
  let watch: Watch;
  let answers: Answers;
  let seen: string[] = [];
  /** What the device does with a request; each test sets its own. */
  let behave: (request: CoapRequest) => CoapResponse | Promise<CoapResponse> = () => content('');
  const handler: RequestHandler = (request) => {
    seen.push(
      `${request.code} /${uriPath(request.options).join('/')} ${Buffer.from(request.payload).toString()}`,
    );
    return behave(request);
  };
  const send = (id: string, body: object, query = '') =>
    service.call('POST', `/v2/device-requests/${identity.deviceId}?async-id=${id}${query}`, body);
  const get = { method: 'GET', uri: '/3/0/0' };

  before(async () => {
    service = await TestService.start();
    client = new ServiceClient({ url: service.service.file.http, apiKey: service.service.file.apiKey });
    identity = await enrol(service, 'board');
    watch = await client.watch();
    answers = new Answers(watch);
  });
  after(async () => {
    await watch[Symbol.asyncDispose]();
    await service[Symbol.asyncDispose]();
  });

  test('are answered on the channel, with what the device said', async () => {
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    behave = (request) =>
      request.code === Code.PUT ? { ...content(''), code: Code.CHANGED, options: [] } : content('ARM');
    assert.equal((await send('a1', get)).status, 202);
    assert.deepEqual(await answers.of('a1'), {
      id: 'a1',
      status: 200,
      payload: btoa('ARM'),
      ct: 'text/plain',
      'max-age': '60',
    });
    const put = { method: 'PUT', uri: '/3/0/15', 'content-type': 'text/plain', 'payload-b64': btoa('EET') };
    assert.equal((await send('a2', put)).status, 202);
    assert.equal((await answers.of('a2')).status, 200);
    assert.equal(seen.at(-1), '3 /3/0/15 EET');
    behave = () => ({ code: Code.NOT_FOUND, options: [], payload: Buffer.from('no such thing') });
    await send('a3', get);
    assert.deepEqual(await answers.of('a3'), { id: 'a3', status: 404, error: 'no such thing' });
    behave = () => content('old style');
    const old = await service.get(`/v2/endpoints/${identity.deviceId}/3/0/0`);
    assert.equal(old.status, 202);
    assert.equal(atob((await answers.of(old.body['async-response-id'])).payload ?? ''), 'old style');
  });

  test('bodies reach the device as they came, and the first type that a list accepts', async () => {
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    let accepted: number | undefined;
    behave = (request) => {
      const accept = request.options.find((one) => one.number === OptionNumber.ACCEPT);
      accepted = accept === undefined ? undefined : uintValue([accept], OptionNumber.ACCEPT);
      return { code: Code.CHANGED, options: [], payload: new Uint8Array() };
    };
    const put = async (type: string, body: string, accept = '*/*') => {
      const { http, apiKey } = service.service.file;
      const answer = await fetch(`${http}/v2/endpoints/${identity.deviceId}/3/0/15`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': type, accept },
        body,
      });
      assert.equal(answer.status, 202, await answer.clone().text());
      await answers.of(((await answer.json()) as { 'async-response-id': string })['async-response-id']);
      return seen.at(-1);
    };
    for (const json of ['12345678901234567890', '"quoted"', '1.50', '{ "a": 1.0 }'])
      assert.equal(await put('application/json', json), `3 /3/0/15 ${json}`);
    assert.equal(accepted, undefined);
    await put('text/plain', 'x', 'text/html, application/senml+json;q=0.9, */*;q=0.1');
    assert.equal(accepted, 110);
    await put('text/plain', 'x', 'text/html, */*');
    assert.equal(accepted, undefined);
    const unknown = await service.call('GET', `/v2/endpoints/${identity.deviceId}/3/0/15`, undefined, {
      accept: 'text/html',
    });
    assert.equal(unknown.status, 400);
  });

  test('go one at a time in their order; the twenty-first is refused', async () => {
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    let under = 0;
    let most = 0;
    let open = () => {};
    const gate = new Promise<void>((done) => {
      open = done;
    });
    behave = async () => {
      most = Math.max(most, ++under);
      await gate;
      under -= 1;
      return content('ok');
    };
    seen = [];
    for (let n = 0; n < queueLimit; n++)
      assert.equal((await send(`q${n}`, { ...get, uri: `/3/0/${n}` })).status, 202);
    const full = await send('q20', get);
    assert.deepEqual([full.status, full.body], [400, 'QUEUE_IS_FULL']);
    open();
    for (let n = 0; n < queueLimit; n++) assert.equal((await answers.of(`q${n}`)).status, 200);
    assert.equal(most, 1);
    assert.deepEqual(
      seen,
      Array.from({ length: queueLimit }, (_, n) => `1 /3/0/${n} `),
    );
  });

  test('to a device that is away: refused at once, or kept for a retry until it is back', async () => {
    await eventually(async () => !(await client.getDevice(identity.deviceId)).online, 'away');
    await send('b1', get);
    assert.deepEqual(await answers.of('b1'), { id: 'b1', status: 503, error: 'NOT_CONNECTED' });
    behave = () => content('back');
    await send('b2', get, '&retry=1');
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    assert.equal(atob((await answers.of('b2')).payload ?? ''), 'back');
  });

  test('a connection that breaks while a request is under way: the retry reaches the device when it is back', async () => {
    const first = await TestDevice.register(service, identity, { handler });
    behave = () => new Promise(() => {});
    seen = [];
    await send('c1', get);
    await send('c2', get, '&retry=1');
    await eventually(async () => seen.length === 1, 'asked');
    first.socket.destroy();
    assert.equal((await answers.of('c1')).status, 503);
    behave = () => content('again');
    await using second = await TestDevice.register(service, identity, { handler });
    assert.equal(atob((await answers.of('c2')).payload ?? ''), 'again');
    behave = () => new Promise(() => {});
    await send('c3', get);
    await eventually(async () => seen.length >= 3, 'asked');
    await second.peer.request({
      code: Code.DELETE,
      options: second.location.map((one) => ({ number: 11, value: Buffer.from(one) })),
      payload: new Uint8Array(),
    });
    assert.deepEqual(await answers.of('c3'), { id: 'c3', status: 429, error: 'DEVICE_REMOVED_REGISTRATION' });
    // The answer to what waited comes before that is written down.
    const registered = async () => (await client.getDevice(identity.deviceId)).state === 'registered';
    await eventually(async () => !(await registered()), 'deregistered');
    const gone = await send('c4', get);
    assert.deepEqual([gone.status, gone.body], [400, 'DEVICE_NOT_CONNECTED']);
  });

  test('a read that waits for its answer is told at once that the device is away, behind whatever waits for it', async () => {
    await TestDevice.register(service, identity, { handler }).then((one) => one[Symbol.asyncDispose]());
    await eventually(async () => !(await client.getDevice(identity.deviceId)).online, 'away');
    assert.equal((await send('d1', get, '&retry=1')).status, 202);
    const read = service.get(`/v3/devices/${identity.deviceId}/resources/3/0/0`);
    const late = AbortSignal.timeout(60_000);
    const answer = await Promise.race([read, once(late, 'abort')]);
    assert.ok('status' in answer, 'it was answered');
    assert.equal(answer.status, 503);
    behave = () => content('back');
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    assert.equal((await answers.of('d1')).status, 200);
  });

  test('a read that the device answers with its own 5.03 says so, and not that the device is away', async () => {
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    behave = () => ({ code: Code.SERVICE_UNAVAILABLE, options: [], payload: Buffer.from('later') });
    const read = await service.get(`/v3/devices/${identity.deviceId}/resources/3/0/0`);
    assert.deepEqual([read.status, read.body.type], [502, 'bad_gateway']);
    assert.match(read.body.message, /5\.03: later/);
  });

  test('a client that hangs up makes nobody wait for the answer to it', async () => {
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    seen = [];
    behave = () => (seen.length === 1 ? new Promise(() => {}) : content('next'));
    const { http, apiKey } = service.service.file;
    const url = `${http}/v3/devices/${identity.deviceId}/resources/3/0`;
    const headers = { authorization: `Bearer ${apiKey}` };
    const hangUp = new AbortController();
    const read = fetch(`${url}/0`, { headers, signal: hangUp.signal });
    await eventually(async () => seen.length === 1, 'the device was asked');
    hangUp.abort();
    await assert.rejects(read, { name: 'AbortError' });
    const next = await fetch(`${url}/1`, { headers, signal: AbortSignal.timeout(60_000) });
    assert.equal(next.status, 200);
  });

  test('what is wrong with a request is said in plain text', async () => {
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    for (const [body, word] of [
      [{ ...get, method: 'BREW' }, 'METHOD_NOT_ALLOWED'],
      [{ ...get, uri: '3/0/0' }, 'MALFORMED_URI'],
      [{ ...get, uri: `/${'x'.repeat(300)}` }, 'MALFORMED_URI'],
      [{ ...get, 'payload-b64': '%' }, 'MALFORMED_PAYLOAD'],
      [{ ...get, accept: 'image/png' }, 'UNKNOWN_MEDIA_TYPE'],
      [{ method: 'GET' }, 'uri'],
    ] as const) {
      const answer = await send('bad', body);
      assert.equal(answer.status, 400);
      assert.ok(String(answer.body).includes(word), String(answer.body));
    }
    const nobody = await service.call('POST', `/v2/device-requests/${'0'.repeat(32)}?async-id=x`, get);
    assert.deepEqual([nobody.status, nobody.body], [404, 'DEVICE_NOT_FOUND']);
    assert.equal((await service.call('POST', `/v2/device-requests/${identity.deviceId}`, get)).status, 400);
  });

  test('pre-subscriptions are observed at the next registration', async () => {
    const entries = [
      { 'endpoint-name': 'boa*', 'resource-path': ['/14/0/2', '/3*'] },
      { 'endpoint-name': 'other', 'resource-path': ['/4/0/0'] },
    ];
    assert.equal((await service.call('PUT', '/v2/subscriptions', entries)).status, 204);
    assert.deepEqual((await service.get('/v2/subscriptions')).body, entries);
    seen = [];
    behave = () => content('6.12');
    await using device = await TestDevice.register(service, identity, { handler });
    assert.ok(device);
    await eventually(async () => seen.length === 2, 'two observations');
    assert.deepEqual(seen.toSorted(), ['1 /14/0/2 ', '1 /3/0 ']);
    assert.equal((await service.call('DELETE', '/v2/subscriptions')).status, 204);
    assert.equal((await service.call('PUT', '/v2/subscriptions', [{ colour: 'red' }])).status, 400);
  });
});

test('the queue: expiry, retries, cancellation', async () => {
  let now = 0;
  let device: DeviceSession | undefined = {} as DeviceSession;
  const requests = new DeviceRequests({ reach: () => device, now: () => now });
  let tries = 0;
  const flaky = async () => {
    tries += 1;
    throw new RequestFailure(504, 'TIMEOUT', '', true);
  };
  await assert.rejects(requests.run('d', flaky, { retries: 2 }), { error: 'TIMEOUT' });
  assert.equal(tries, 3);
  await assert.rejects(
    requests.run('d', async () => 1, { expiresInMs: 0 }),
    { error: 'REQUEST_EXPIRED' },
  );
  device = undefined;
  await assert.rejects(
    requests.run('d', async () => 1),
    { error: 'NOT_CONNECTED' },
  );
  const waiting = requests.run('d', async () => 'sent', { wait: true, expiresInMs: 1000 });
  await assert.rejects(
    (async () => {
      setTimeout(() => {
        now = 2000;
        requests.wake('d');
      }, 10);
      return waiting;
    })(),
    { error: 'REQUEST_EXPIRED' },
  );
  const cancelled = requests.run('d', async () => 1, { wait: true });
  requests.cancel('d', new RequestFailure(429, 'DEVICE_BLOCKED', ''));
  await assert.rejects(cancelled, { error: 'DEVICE_BLOCKED' });
  assert.equal(requests.waiting('d'), 0);
});

test('the queue: what waits behind another ends in its own time', { timeout: 240_000 }, async () => {
  let device: DeviceSession | undefined = {} as DeviceSession;
  const requests = new DeviceRequests({ reach: () => device, now: Date.now });
  const answer = Promise.withResolvers<string>();
  const first = requests.run('d', () => answer.promise);
  const never = async () => assert.fail('sent after its end');
  await assert.rejects(requests.run('d', never, { expiresInMs: 50 }), { error: 'REQUEST_EXPIRED' });

  const client = new AbortController();
  const behind = requests.run('d', never, { signal: client.signal });
  client.abort(new RequestFailure(503, 'CLIENT_GONE', ''));
  await assert.rejects(behind, { error: 'CLIENT_GONE' });
  await assert.rejects(requests.run('d', never, { signal: client.signal }), { error: 'CLIENT_GONE' });
  assert.equal(requests.waiting('d'), 1, 'they leave room');

  // The device goes away: who waits for it stays, who does not is told, those who come later too.
  const patient = requests.run('d', async () => 'patient', { retries: 1 });
  const impatient = requests.run('d', never);
  device = undefined;
  answer.resolve('first');
  assert.equal(await first, 'first');
  await assert.rejects(impatient, { error: 'NOT_CONNECTED' });
  await assert.rejects(requests.run('d', never), { error: 'NOT_CONNECTED' });
  device = {} as DeviceSession;
  requests.wake('d');
  assert.equal(await patient, 'patient');
  assert.equal(requests.waiting('d'), 0);
});

test('no request from outside makes the parser throw anything but a refusal', () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom('GET', 'PUT', '/3/0/0', '/%', '/a?b=%zz', 'text/plain', '70000'),
  );
  fc.assert(
    fc.property(text, text, text, text, (method, uri, type, payload) => {
      try {
        const parsed = parseRawRequest({ method, uri, 'content-type': type, 'payload-b64': payload });
        assert.ok(parsed.path.every((segment) => Buffer.byteLength(segment) <= 255));
      } catch (error) {
        assert.ok(error instanceof HttpError, String(error));
      }
    }),
  );
});

test('every response code has an HTTP status', () => {
  assert.deepEqual(
    [
      Code.CONTENT,
      Code.CHANGED,
      Code.NOT_FOUND,
      Code.NOT_ACCEPTABLE,
      Code.INTERNAL_SERVER_ERROR,
      Code.SERVICE_UNAVAILABLE,
    ].map(statusOf),
    [200, 200, 404, 415, 502, 503],
  );
});
