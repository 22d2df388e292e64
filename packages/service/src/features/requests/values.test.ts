// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  type CoapRequest,
  type CoapResponse,
  Code,
  contentFormat,
  contentFormatOption,
  uriPath,
  uriPathOptions,
  uriQuery,
} from '@mbl/coap';
import { ServiceClient } from '../../client/service-client.ts';
import { enrol, eventually, TestDevice, type TestIdentity } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';
import type { ResourceNotification } from '../notifications/message.ts';
import type { ResourceValue } from './values.ts';

const [text, tlv] = [0, 11_542];

describe('values of the objects of the registry', { timeout: 240_000 }, () => {
  let service: TestService;
  let identity: TestIdentity;
  let device: TestDevice;
  const asked: CoapRequest[] = [];
  let answer: { format: number; payload: Uint8Array } = { format: text, payload: Buffer.from('') };
  const handler = (request: CoapRequest): CoapResponse => {
    // The service's own reads come at any time.
    if (uriPath(request.options)[0] === '1')
      return { code: Code.NOT_FOUND, options: [], payload: Buffer.from('') };
    asked.push(request);
    if (request.code !== Code.GET && request.code !== Code.FETCH)
      return { code: Code.CHANGED, options: [], payload: Buffer.from('') };
    const { format, payload } = answer;
    return { code: Code.CONTENT, options: [contentFormatOption(format)], payload };
  };
  const call = (method: string, path: string, body?: unknown) =>
    service.call(method, `/v3/devices/${identity.deviceId}/resources${path}`, body);

  before(async () => {
    service = await TestService.start();
    identity = await enrol(service, 'sensor');
    device = await TestDevice.register(service, identity, { handler });
  });
  after(async () => {
    await device[Symbol.asyncDispose]();
    await service[Symbol.asyncDispose]();
  });

  test('are read as what they are, with name and units', async () => {
    answer = { format: tlv, payload: Buffer.from('e4164441ac0000e3164543656c', 'hex') };
    const instance = await call('GET', '/3303/0');
    assert.equal(instance.status, 200, JSON.stringify(instance.body));
    assert.deepEqual(instance.body.resources, [
      { path: '/3303/0/5700', value: 21.5, type: 'float', name: 'Sensor Value' },
      { path: '/3303/0/5701', value: 'Cel', type: 'string', name: 'Sensor Units' },
    ]);
    answer = { format: tlv, payload: Buffer.from('e116db32', 'hex') };
    assert.deepEqual((await call('GET', '/3311/0/5851')).body.resources, [
      { path: '/3311/0/5851', value: 50, type: 'integer', name: 'Dimmer', units: '/100' },
    ]);
    // Nobody knows this object: bytes.
    answer = { format: tlv, payload: Buffer.from('c10107', 'hex') };
    assert.deepEqual((await call('GET', '/33001/0/1')).body.resources, [
      { path: '/33001/0/1', value: 'Bw==', type: 'opaque' },
    ]);
  });

  test('that the device sends in another type are a bad answer of the device', async () => {
    answer = { format: text, payload: Buffer.from('warm') };
    const read = await call('GET', '/3303/0/5700');
    assert.deepEqual([read.status, read.body.type], [502, 'bad_gateway'], JSON.stringify(read.body));
    assert.match(read.body.message, /\/3303\/0\/5700 cannot be read: expected a value of type float/);
  });

  test('are written by their type; what is none of it never reaches the device', async () => {
    asked.length = 0;
    assert.equal((await call('PUT', '/3311/0/5851', { value: '50' })).status, 204);
    assert.equal((await call('PUT', '/3311/0/5850', { value: 'true' })).status, 204);
    assert.equal((await call('PUT', '/33001/0/1', { value: '1.5', type: 'float' })).status, 204);
    const sent = asked.map(({ options, payload }) => [
      contentFormat(options),
      Buffer.from(payload).toString(),
    ]);
    assert.deepEqual(sent, [
      [text, '50'],
      [text, '1'],
      [text, '1.5'],
    ]);
    // What the caller says of an object that nobody knows holds too.
    const wrong = await call('PUT', '/33001/0/1', { value: 1.5, type: 'integer' });
    assert.equal(wrong.status, 400, JSON.stringify(wrong.body));
    asked.length = 0;
    for (const [path, value, said] of [
      ['/3311/0/5851', 'half', /integer/],
      ['/3311/0/5851', 1.5, /integer, found 1\.5/],
      ['/3311/0/5851', 1e300, /text/],
      ['/3311/0/5851', 2 ** 60, /text/],
      ['/3311/0/5850', 1, /boolean, found 1/],
      ['/3311/0/5805', 'much', /float/],
      ['/19/0/0', 'no base64!', /opaque/],
      ['/3303/0/5605', 'x', /executed/],
      ['/3303/0/5605', 1, /executed/],
    ] as const) {
      const refused = await call('PUT', path, { value });
      assert.equal(refused.status, 400, path);
      assert.match(JSON.stringify(refused.body), said);
      const several = await call('PUT', '/3311/0', {
        resources: [
          { path: '/3311/0/5850', value: true },
          { path, value },
        ],
      });
      assert.equal(several.status, 400, path);
    }
    assert.deepEqual(asked, []);
  });

  test('of several objects are read and written with one request', async () => {
    asked.length = 0;
    answer = {
      format: 110,
      payload: Buffer.from('[{"bn":"/3303/0/5700","v":21.5},{"bn":"/3/0/0","vs":"ARM"}]'),
    };
    const read = await call('GET', '?paths=/3303/0/5700,/3/0/0');
    assert.equal(read.status, 200, JSON.stringify(read.body));
    assert.deepEqual(
      read.body.resources.map(({ path, value, type }: ResourceValue) => [path, value, type]),
      [
        ['/3303/0/5700', 21.5, 'float'],
        ['/3/0/0', 'ARM', 'string'],
      ],
    );
    const resources = [
      { path: '/3311/0/5851', value: '50' },
      { path: '/3/0/15', value: 'UTC' },
    ];
    assert.equal((await call('PUT', '', { resources })).status, 204);
    assert.deepEqual(
      asked.map(({ code }) => code),
      [Code.FETCH, Code.IPATCH],
    );
    const bad = [{ path: '/3311/0/5851', value: 'half' }];
    assert.equal((await call('PUT', '', { resources: bad })).status, 400);
    assert.equal((await call('GET', '?paths=/3303,three')).status, 400);
    assert.equal((await call('GET', '')).status, 400);
    assert.equal(asked.length, 2);
  });

  test('that a device sends by itself are notifications, with their times', async () => {
    const client = new ServiceClient({ url: service.service.file.http, apiKey: service.service.file.apiKey });
    await using watch = await client.watch();
    const heard: ResourceNotification[] = [];
    const listening = (async () => {
      for await (const one of watch) heard.push(...(one.notifications ?? []));
    })().catch(() => {});
    const [before, past] = [Date.now(), 1_700_000_000];
    const record = `[{"bn":"/3303/0/","n":"5700","t":${past},"v":21.5},{"n":"5701","vs":"Cel"},{"bn":"/19/0/0","vd":"AQI"},{"bn":"/3/0/9","t":-3600,"v":80},{"bn":"/3/0/9","t":1e300,"v":81}]`;
    const sent = await device.peer.request({
      code: Code.POST,
      options: [...uriPathOptions(['dp']), contentFormatOption(110)],
      payload: Buffer.from(record),
    });
    assert.equal(sent.code, Code.CHANGED, Buffer.from(sent.payload).toString());
    await eventually(async () => heard.length >= 5, 'five values');
    assert.deepEqual(
      heard.map(({ ep, path, ct, payload }) => [ep === identity.deviceId, path, ct, payload]),
      [
        [true, '/3303/0/5700', 'text/plain', btoa('21.5')],
        [true, '/3303/0/5701', 'text/plain', btoa('Cel')],
        [true, '/19/0/0', 'application/octet-stream', 'AQI='],
        [true, '/3/0/9', 'text/plain', btoa('80')],
        [true, '/3/0/9', 'text/plain', btoa('81')],
      ],
    );
    const times = heard.map(({ timestamp }) => timestamp);
    assert.equal(times[0], past * 1000);
    // No time, and one that no date has: when it came.
    for (const time of [times[1] ?? 0, times[4] ?? 0]) assert.ok(time >= before && time <= Date.now());
    assert.ok((times[3] ?? 0) >= before - 3_600_000 && (times[3] ?? 0) <= Date.now() - 3_600_000);
    await watch[Symbol.asyncDispose]();
    await listening;
  });

  test('notification attributes are written by a request with a query', async () => {
    asked.length = 0;
    const put = { method: 'PUT', uri: '/3303/0/5700?pmin=10&pmax=60&gt=30' };
    assert.equal(
      (await service.call('POST', `/v2/device-requests/${identity.deviceId}?async-id=w`, put)).status,
      202,
    );
    await eventually(async () => asked.length === 1, 'the request');
    assert.deepEqual(uriQuery(asked[0]?.options ?? []), ['pmin=10', 'pmax=60', 'gt=30']);
  });
});
