// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { TestService } from '../../testing/service.ts';

describe('the device directory', () => {
  let service: TestService;
  before(async () => {
    service = await TestService.start();
    for (let n = 1; n <= 7; n++) {
      const made = await service.call('POST', '/v3/devices', {
        endpoint_name: `board-${n}`,
        name: `Board ${n}`,
        device_class: n % 2 === 0 ? 'even' : 'odd',
        custom_attributes: { floor: String(n % 3) },
      });
      assert.equal(made.status, 201);
      assert.equal(made.body.object, 'device');
      assert.match(made.body.id, /^[0-9a-f]{32}$/);
      assert.equal(made.body.state, 'unenrolled');
      assert.equal(made.body.online, false);
    }
  });
  after(() => service[Symbol.asyncDispose]());

  const names = async (query: string): Promise<string[]> => {
    const { status, body } = await service.get(`/v3/devices/${query}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body.data.map((one: { endpoint_name: string }) => one.endpoint_name);
  };

  test('lists in pages, in both orders, with and without the slash', async () => {
    const first = await service.get('/v3/devices?limit=3&include=total_count');
    assert.deepEqual(
      { ...first.body, data: first.body.data.length },
      { object: 'list', limit: 3, after: null, order: 'ASC', has_more: true, total_count: 7, data: 3 },
    );
    const seen: string[] = [];
    for (let after = ''; ; ) {
      const { body } = await service.get(`/v3/devices/?limit=3&order=DESC${after}`);
      seen.push(...body.data.map((one: { endpoint_name: string }) => one.endpoint_name));
      if (!body.has_more) break;
      after = `&after=${body.data.at(-1).id}`;
    }
    assert.deepEqual(
      seen,
      [7, 6, 5, 4, 3, 2, 1].map((n) => `board-${n}`),
    );
    assert.equal((await service.get('/v3/devices?limit=1')).body.limit, 2, 'clamped');
    assert.equal((await service.get('/v3/devices?limit=5000')).body.limit, 1000, 'clamped');
  });

  test('filters in both encodings', async () => {
    assert.deepEqual(await names('?device_class__eq=even'), ['board-2', 'board-4', 'board-6']);
    assert.deepEqual(await names('?endpoint_name__in=board-1%2Cboard-3'), ['board-1', 'board-3']);
    assert.deepEqual(await names('?endpoint_name__nin=board-1,board-2,board-3,board-4,board-5'), [
      'board-6',
      'board-7',
    ]);
    const legacy = encodeURIComponent(
      'device_class=odd&created_at__gte=1970-01-01T00:00:00.000Z&custom_attributes__floor=1',
    );
    assert.deepEqual(await names(`?filter=${legacy}`), ['board-1', 'board-7']);
    assert.deepEqual(await names(`?filter=${encodeURIComponent('name__eq=Board%203')}`), ['board-3']);
    assert.deepEqual(await names('?custom_attributes__floor__eq=2&device_class__neq=even'), ['board-5']);
    assert.deepEqual(await names('?created_at__lte=19700101T000000Z'), []);
    assert.deepEqual(await names('?online__eq=true'), []);
    assert.deepEqual(await names("?name__eq=' or 1=1 --"), []);
  });

  test('refuses what it does not know, and says which', async () => {
    const { status, body } = await service.get(
      '/v3/devices?naem__eq=x&state__gte=y&created_at__lte=yesterday&auto_update=7',
    );
    assert.equal(status, 400);
    assert.equal(body.object, 'error');
    assert.equal(body.code, 400);
    assert.equal(body.type, 'validation_error');
    assert.match(body.request_id, /^[0-9a-f]{32}$/);
    assert.deepEqual(body.fields.map((field: { name: string }) => field.name).toSorted(), [
      'auto_update',
      'created_at__lte',
      'naem__eq',
      'state__gte',
    ]);
    const bad = await service.get('/v3/devices?limit=many&order=UP');
    assert.deepEqual(bad.body.fields.map((field: { name: string }) => field.name).toSorted(), [
      'limit',
      'order',
    ]);
    assert.equal((await service.get('/v3/devices?name__eq=a&name__eq=b')).status, 400);
    assert.equal((await service.get('/v3/devices?name__eq=%00')).status, 400);
  });

  test('reads, changes and deletes one', async () => {
    const { body: made } = await service.call('POST', '/v3/devices/', { endpoint_name: 'changing' });
    const path = `/v3/devices/${made.id}`;
    assert.deepEqual((await service.get(`${path}/`)).body, made);
    const changed = await service.call('PUT', path, {
      name: 'n',
      description: 'd',
      custom_attributes: { a: 'b' },
    });
    assert.equal(changed.status, 200);
    assert.deepEqual(
      [changed.body.name, changed.body.description, changed.body.custom_attributes],
      ['n', 'd', { a: 'b' }],
    );
    assert.ok(changed.body.etag > made.etag);
    const renamed = await service.call('PUT', path, { endpoint_name: 'other', state: 'registered' });
    assert.equal(renamed.status, 400);
    assert.equal((await service.call('PUT', path, { endpoint_name: 'other' })).status, 400);
    assert.equal((await service.call('PUT', path, { endpoint_name: 'changing' })).status, 200);
    const again = await service.call('POST', '/v3/devices', { endpoint_name: 'changing' });
    assert.equal(again.status, 409);
    assert.equal(again.body.fields[0].name, 'endpoint_name');
    assert.equal((await service.call('DELETE', path)).status, 204);
    assert.equal((await service.get(path)).status, 404);
    assert.equal((await service.call('DELETE', path)).status, 404);
    const events = await service.get(`/v3/device-events?device_id__eq=${made.id}`);
    assert.deepEqual(
      events.body.data.map((event: { event_type: string }) => event.event_type),
      ['device.created', 'device.updated', 'device.updated', 'device.deleted'],
    );
  });

  test('a day is that of Greenwich, wherever the service runs', async () => {
    await service.call('POST', '/v3/devices', {
      endpoint_name: 'expiring',
      connector_expiration_date: '2031-05-06',
    });
    const zone = process.env.TZ;
    process.env.TZ = 'America/New_York';
    try {
      const found = (query: string) => names(`?connector_expiration_date__${query}`);
      assert.deepEqual(await found('in=2031-05-06'), ['expiring']);
      assert.deepEqual(await found('lte=2031-05-05T23:59:59Z'), []);
      assert.deepEqual(await found('gte=2031-05-06T00:00:00Z'), ['expiring']);
    } finally {
      if (zone === undefined) delete process.env.TZ;
      else process.env.TZ = zone;
    }
  });

  test('NUL, which no text in the database holds, is refused', async () => {
    for (const [method, path, body] of [
      ['GET', '/v3/devices/%00'],
      ['GET', '/v2/endpoints/%00'],
      ['GET', '/v3/devices?custom_attributes__a%00__eq=x'],
      ['POST', '/v3/devices', { endpoint_name: 'nul', description: 'a\0b' }],
      ['POST', '/v3/devices', { endpoint_name: 'nul', custom_attributes: { a: 'b\0' } }],
      ['POST', '/v3/api-keys', { name: '\0' }],
    ] as const) {
      const { status, body: answer } = await service.call(method, path, body);
      assert.equal(status, 400, `${method} ${path} ${JSON.stringify(body)}: ${JSON.stringify(answer)}`);
    }
  });

  test('suspends and resumes', async () => {
    const { body: made } = await service.call('POST', '/v3/devices', { endpoint_name: 'lost' });
    const path = `/v3/devices/${made.id}`;
    assert.equal((await service.call('POST', `${path}/suspend`, { category: 'boredom' })).status, 400);
    assert.equal(
      (
        await service.call('POST', `${path}/suspend`, {
          category: 'lost_or_stolen',
          description: 'on a train',
        })
      ).status,
      204,
    );
    const suspended = (await service.get(path)).body;
    assert.equal(suspended.lifecycle_status, 'blocked');
    assert.equal(suspended.last_operator_suspended_category, 'lost_or_stolen');
    assert.deepEqual(await names('?lifecycle_status__eq=blocked'), ['lost']);
    assert.equal(
      (await service.call('POST', `${path}/resume`, { category: 'other', description: 'found' })).status,
      204,
    );
    assert.equal((await service.get(path)).body.lifecycle_status, 'enabled');
  });

  test('what cannot be written down does not happen', async () => {
    const { body: made } = await service.call('POST', '/v3/devices', { endpoint_name: 'kept' });
    const path = `/v3/devices/${made.id}`;
    const database = new pg.Client(service.options.databaseUrl);
    await database.connect();
    await database.query('alter table device_events add constraint closed check (false) not valid');
    assert.equal((await service.call('POST', '/v3/devices', { endpoint_name: 'unheard' })).status, 500);
    assert.equal((await service.call('PUT', path, { name: 'other' })).status, 500);
    assert.equal((await service.call('POST', `${path}/suspend`, { category: 'other' })).status, 500);
    assert.equal((await service.call('DELETE', path)).status, 500);
    await database.query('alter table device_events drop constraint closed');
    await database.end();
    const { body: kept } = await service.get(path);
    assert.deepEqual([kept.lifecycle_status, kept.name], ['enabled', made.name]);
    assert.deepEqual(await names('?endpoint_name__eq=unheard'), []);
  });

  test('two that ask for one name at once: one gets it', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => service.call('POST', '/v3/devices', { endpoint_name: 'contended' })),
    );
    assert.deepEqual(
      answers.map((answer) => answer.status).toSorted((a, b) => a - b),
      [201, ...Array(7).fill(409)],
    );
  });

  test('bad bodies are refused with the field that is wrong', async () => {
    const bad = await service.call('POST', '/v3/devices', { endpoint_name: 'no spaces', colour: 'red' });
    assert.equal(bad.status, 400);
    assert.ok(bad.body.fields.some((field: { name: string }) => field.name === 'endpoint_name'));
    assert.equal((await service.call('POST', '/v3/devices', '{"name":')).status, 400);
    assert.equal(
      (await service.call('POST', '/v3/devices', `{"name":"${'x'.repeat(2_000_000)}"}`)).status,
      413,
    );
  });
});
