// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { MblError } from '@mbl/trust';
import { DatabaseProxy } from '../testing/database-proxy.ts';
import { enrol, eventually, TestDevice } from '../testing/device.ts';
import { newDatabase, TestService } from '../testing/service.ts';
import { claimDatabase } from './claim.ts';
import { openDatabase } from './database.ts';
import { silentLog } from './log.ts';

function listener() {
  const said: string[] = [];
  const say = (message: string) => void said.push(message);
  return { said, log: { ...silentLog, warn: say, info: say, error: say } };
}
const away = 'The database went away; the service waits for it';
const back = 'The database is back';

test('a claim whose connection breaks, or falls silent, is taken again', { timeout: 240_000 }, async () => {
  await using proxy = await DatabaseProxy.start(await newDatabase());
  await using database = openDatabase(proxy.url);
  const { said, log } = listener();
  await using claim = await claimDatabase(database.pool, { log, heartbeatMs: 200, patienceMs: 20_000 });
  for (const take of [() => proxy.away(), () => proxy.silent()]) {
    said.length = 0;
    take();
    await eventually(async () => said.includes(away), 'it is noticed');
    await sleep(500);
    assert.deepEqual(said, [away], 'and said once');
    proxy.away();
    proxy.back();
    await eventually(async () => said.includes(back), 'it is back');
  }
  await using other = openDatabase(proxy.url);
  await assert.rejects(claimDatabase(other.pool, { log }), { code: 'service/already-running' });
  assert.equal(await Promise.race([claim.lost, Promise.resolve('held')]), 'held');
});

test('a claim that another service took meanwhile is lost, and so is one whose database stays away', {
  timeout: 240_000,
}, async () => {
  const url = await newDatabase();
  await using proxy = await DatabaseProxy.start(url);
  const claimed = async (patienceMs: number) => {
    const database = openDatabase(proxy.url);
    return {
      database,
      claim: await claimDatabase(database.pool, { log: silentLog, heartbeatMs: 100, patienceMs }),
    };
  };
  const first = await claimed(60_000);
  proxy.away();
  await using rival = openDatabase(url);
  const taken = await claimDatabase(rival.pool, { log: silentLog });
  proxy.back();
  const lost = await first.claim.lost;
  assert.ok(lost instanceof MblError && lost.code === 'service/already-running');
  await taken[Symbol.asyncDispose]();
  const second = await claimed(500);
  proxy.away();
  assert.match((await second.claim.lost).message, /cannot be used/);
  for (const { claim, database } of [first, second]) {
    await claim[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  }
});

/** For so long the database is away; a minute for a release. */
const awaySeconds = Number(process.env['MBL_TEST_AWAY'] ?? 3);

test('while the database is away no device is dropped; what happened meanwhile is written down after', {
  timeout: 240_000 + awaySeconds * 1000,
}, async () => {
  await using proxy = await DatabaseProxy.start(await newDatabase());
  const { said, log } = listener();
  const complaints: string[] = [];
  const complain = (message: string) => {
    complaints.push(message);
    said.push(message);
  };
  await using service = await TestService.start({
    databaseUrl: proxy.url,
    log: { ...log, warn: complain, error: complain },
  });
  const [stays, leaves, comes] = [
    await enrol(service, 'stays'),
    await enrol(service, 'leaves'),
    await enrol(service, 'comes'),
  ];
  await using device = await TestDevice.register(service, stays);
  const leaving = await TestDevice.register(service, leaves);
  said.length = 0;
  complaints.length = 0;
  const begin = Date.now();
  proxy.away();
  await leaving[Symbol.asyncDispose]();
  // A device that comes meanwhile is sent away, and comes again.
  const trying = eventually(
    async () => await TestDevice.register(service, comes).catch(() => undefined),
    'it is let in when the database is back',
    60_000 + awaySeconds * 1000,
  );
  const health = async () => await service.get('/v3/health');
  await eventually(async () => (await health()).status === 503, 'whoever asks for its health is told');
  await sleep(awaySeconds * 1000);
  const { status, body } = await health();
  assert.equal(status, 503);
  const since = Date.parse(body.away_since);
  assert.ok(since >= begin && since <= Date.now() - 1000, 'since when it is away, not since it was asked');
  assert.deepEqual(body, {
    object: 'health',
    status: 'database-away',
    away_since: new Date(since).toISOString(),
  });
  await device.peer.ping({ timeoutMs: 30_000 });
  proxy.back();
  await trying;
  const online = async (id: string): Promise<boolean> => (await service.get(`/v3/devices/${id}`)).body.online;
  await eventually(async () => !(await online(leaves.deviceId)), 'the one that left is shown off line');
  assert.equal(await online(stays.deviceId), true);
  assert.equal(await online(comes.deviceId), true);
  const times = (message: string) => said.filter((one) => one === message).length;
  await eventually(async () => times(back) === 1, 'the log says that it is back');
  const ofDatabase = complaints.filter((one) => /database|presence|housekeeping/i.test(one));
  assert.deepEqual(ofDatabase, [away], 'said once, by one');
  assert.deepEqual((await health()).body, { object: 'health', status: 'ok' });
  const client = new pg.Client(service.options.databaseUrl);
  await client.connect();
  const { rows } = await client.query(
    "select count(*)::int from device_events where event_type = 'device.offline' and endpoint_name = 'leaves'",
  );
  assert.equal((rows[0] as { count: number }).count, 1);
  await client.end();
});

test('a silence takes the answers of every connection; none is waited for after it', {
  timeout: 240_000,
}, async () => {
  const url = await newDatabase();
  await using proxy = await DatabaseProxy.start(url);
  await using database = openDatabase(proxy.url);
  const { said, log } = listener();
  const onAway = () => database.dropConnections();
  await using _claim = await claimDatabase(database.pool, { log, heartbeatMs: 200, onAway });
  const [one, two, three] = await Promise.all([1, 2, 3].map(async () => await database.pool.connect()));
  // One waits for an answer that never comes, two are idle and as dead.
  two?.release();
  three?.release();
  proxy.silent();
  const lost = assert.rejects(async () => await one?.query('select 1'));
  await eventually(async () => said.includes(away), 'it is noticed');
  proxy.back();
  await eventually(async () => said.includes(back), 'it is back');
  await lost;
  one?.release(true);
  assert.equal((await database.pool.query('select 1')).rowCount, 1);
});

test('nobody waits for a silent database to give a claim up and to close', { timeout: 240_000 }, async () => {
  await using proxy = await DatabaseProxy.start(await newDatabase());
  const database = openDatabase(proxy.url);
  const claim = await claimDatabase(database.pool, { log: silentLog });
  await Promise.all([1, 2].map(async () => await database.pool.query('select 1')));
  proxy.silent();
  const started = performance.now();
  await claim[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
  assert.ok(performance.now() - started < 20_000);
});

test('a claim that is given up while its database is brought back ends that', {
  timeout: 240_000,
}, async () => {
  await using proxy = await DatabaseProxy.start(await newDatabase());
  await using database = openDatabase(proxy.url);
  const reviving = Promise.withResolvers<void>();
  const revive = async (signal: AbortSignal): Promise<void> => {
    reviving.resolve();
    await new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)));
  };
  const claim = await claimDatabase(database.pool, { log: silentLog, revive });
  proxy.away();
  await reviving.promise;
  const started = performance.now();
  await claim[Symbol.asyncDispose]();
  assert.ok(performance.now() - started < 20_000);
});
