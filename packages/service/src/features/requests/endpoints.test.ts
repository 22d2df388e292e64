// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { TestService } from '../../testing/service.ts';

test('registered devices come in pages, each with the way to the next', async () => {
  await using service = await TestService.start();
  const database = new pg.Client(service.options.databaseUrl);
  await database.connect();
  await database.query(
    `insert into devices (id, account_id, endpoint_name, endpoint_type, state, created_at, updated_at)
     select lpad(to_hex(n), 32, '0'), accounts.id, 'board-' || n, case when n % 2 = 0 then 'lamp & more' else 'switch' end,
       case when n % 3 = 0 then 'deregistered' else 'registered' end, now(), now()
     from accounts, generate_series(1, 1800) as n`,
  );
  await database.end();
  const pages = async (first: string) => {
    const sizes: number[] = [];
    const names: string[] = [];
    for (let path: string | undefined = first; path !== undefined; ) {
      const { status, headers, body } = await service.get(path);
      assert.equal(status, 200);
      sizes.push(body.length);
      names.push(...body.map((one: { 'original-ep': string }) => one['original-ep']));
      path = /^<(\/v2\/endpoints\?[^>]*)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1];
    }
    return { sizes, names };
  };
  const registered = Array.from({ length: 1800 }, (_, index) => index + 1).filter((n) => n % 3 !== 0);
  const all = await pages('/v2/endpoints');
  assert.deepEqual(all.sizes, [1000, 200]);
  assert.deepEqual(
    all.names,
    registered.map((n) => `board-${n}`),
  );
  const lamps = await pages('/v2/endpoints?type=lamp+%26+more&limit=250');
  assert.deepEqual(lamps.sizes, [250, 250, 100]);
  assert.deepEqual(
    lamps.names,
    registered.filter((n) => n % 2 === 0).map((n) => `board-${n}`),
  );
  assert.equal((await service.get('/v2/endpoints?after=x')).status, 400);

  const first = `/v2/endpoints/${'1'.padStart(32, '0')}/3/0/0`;
  const cached = await service.get(`${first}?cacheOnly=true`);
  assert.deepEqual([cached.status, cached.body], [404, 'RESOURCE_NOT_FOUND']);
  assert.equal((await service.get(`${first}?cacheOnly=false`)).status, 202);
});
