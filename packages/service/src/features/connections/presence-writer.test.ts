// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import pg from 'pg';
import type { Context } from '../../context.ts';
import { type Database, openDatabase } from '../../infra/database.ts';
import { idSource } from '../../infra/ids.ts';
import { silentLog } from '../../infra/log.ts';
import type { Schema } from '../../schema.ts';
import { DatabaseProxy } from '../../testing/database-proxy.ts';
import { TestService } from '../../testing/service.ts';
import { EventRecorder } from '../device-events/recorder.ts';
import type { Publish } from '../notifications/message.ts';
import { Presence } from './presence.ts';
import { PresenceWriter, type Transition } from './presence-writer.ts';

/** The writer on a database that a service has prepared. */
describe('presence', { timeout: 240_000 }, () => {
  let service: TestService;
  let database: Database<Schema>;
  let context: Context;
  let events: EventRecorder;
  const said: string[] = [];

  before(async () => {
    service = await TestService.start();
    database = openDatabase<Schema>(String(service.options.databaseUrl));
    const { id: accountId } = await database.db.selectFrom('accounts').select('id').executeTakeFirstOrThrow();
    const say = (message: string) => void said.push(message);
    const log = { ...silentLog, warn: say, info: say };
    context = { db: database.db, accountId, now: Date.now, newId: idSource(Date.now), log };
    events = new EventRecorder(context, () => {});
  });
  after(async () => {
    await database[Symbol.asyncDispose]();
    await service[Symbol.asyncDispose]();
  });

  async function devices(count: number, prefix: string): Promise<string[]> {
    const ids = Array.from({ length: count }, () => context.newId());
    await database.pool.query(
      `insert into devices (id, account_id, endpoint_name, created_at, updated_at)
       select id, $2, $3 || n, now(), now() from unnest($1::text[]) with ordinality as made (id, n)`,
      [ids, context.accountId, `${prefix}-`],
    );
    return ids;
  }

  const went = (deviceId: string, online: boolean): Transition => ({
    deviceId,
    columns: { online },
    event: {
      type: online ? 'device.online' : 'device.offline',
      deviceId,
      endpointName: null,
      description: '',
    },
  });
  const count = async (text: string, values: unknown[] = []): Promise<number> =>
    Number((await database.pool.query<{ count: string }>(text, values)).rows[0]?.count);
  const online = async (ids: readonly string[]) =>
    await count('select count(*) from devices where online and id = any($1)', [ids]);
  const eventsOf = async (ids: readonly string[]) =>
    await count('select count(*) from device_events where device_id = any($1)', [ids]);

  test('20,000 devices at once: all are written down', async () => {
    const ids = await devices(20_000, 'many');
    const writer = new PresenceWriter(context, events);
    const happened = await Promise.all(ids.map((id) => writer.write(went(id, true))));
    assert.ok(happened.every(Boolean));
    assert.equal(await online(ids), ids.length);
    assert.equal(await eventsOf(ids), ids.length);

    await new Presence(context, events, () => {}).endLeftovers();
    assert.equal(await online(ids), 0);
    assert.equal(await eventsOf(ids), 2 * ids.length);
  });

  test('a database that drops every connection again and again loses nothing, and each trouble is told once', async () => {
    const ids = await devices(2000, 'dropped');
    const [more = ''] = await devices(1, 'more');
    const writer = new PresenceWriter(context, events);
    said.length = 0;
    const killer = new pg.Client(service.options.databaseUrl);
    await killer.connect();
    const writes = Promise.all(
      ids.map(async (id) => {
        await sleep(Math.random() * 1500);
        await writer.write(went(id, true));
      }),
    );
    let broken = 0;
    // One that ends an idle connection breaks no write: the test goes on until one was broken.
    for (let round = 0; round < 15 || broken === 0; round++) {
      await sleep(100);
      if (round >= 15) void writer.write(went(more, round % 2 === 0));
      const { rows } = await killer.query<{ state: string }>(
        `select state, pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
           and query like '%jsonb_to_recordset%'`,
      );
      broken += rows.filter(({ state }) => state !== 'idle').length;
    }
    await writes;
    await killer.end();
    assert.equal(await online(ids), ids.length);
    assert.equal(await eventsOf(ids), ids.length, 'each event once');
    // What fails once and no more is no news; where the next try was broken too, the end is told as the beginning is.
    const pair = ['Presence cannot be written; it is kept, and tried again', 'Presence is written again'];
    for (let n = 0; n < said.length; n += 2) assert.deepEqual(said.slice(n, n + 2), pair);
  });

  test('a write that fails again and again is told once, and so is its end; not where the database is known to be away', async () => {
    const [deviceId = ''] = await devices(1, 'failing');
    await using proxy = await DatabaseProxy.start(String(service.options.databaseUrl));
    await using through = openDatabase<Schema>(proxy.url);
    for (const awaySince of [undefined, 1]) {
      said.length = 0;
      const own = { ...context, db: through.db, awaySince: () => awaySince };
      const writer = new PresenceWriter(own, new EventRecorder(own, () => {}));
      proxy.away();
      const written = writer.write(went(deviceId, true));
      await sleep(2000);
      proxy.back();
      assert.equal(await written, true);
      const words = ['Presence cannot be written; it is kept, and tried again', 'Presence is written again'];
      assert.deepEqual(said, awaySince === undefined ? words : []);
    }
  });

  test('the answer to a commit is lost: each event is written and told once, and so is the end of a registration', async () => {
    await using proxy = await DatabaseProxy.start(String(service.options.databaseUrl));
    await using through = openDatabase<Schema>(proxy.url);
    const [deviceId = ''] = await devices(1, 'lost');
    await database.pool.query("update devices set state = 'registered' where id = $1", [deviceId]);
    const told: string[] = [];
    const publish: Publish = (message) => {
      told.push(...(message['device-events']?.map((event) => event.event_type) ?? Object.keys(message)));
    };
    const own = { ...context, db: through.db };
    const presence = new Presence(own, new EventRecorder(own, publish), publish);
    const who = { deviceId, endpointName: 'lost', remoteAddress: '::1', fingerprint: '' };
    proxy.loseAnswerToCommit();
    await presence.deregistered(who, 'deregistered');
    proxy.loseAnswerToCommit();
    await presence.online(who);
    assert.deepEqual(told, ['device.deregistered', 'de-registrations', 'device.online']);
    assert.equal(await eventsOf([deviceId]), 2);
  });

  test('what the database refuses is told to the one whose it is, and to nobody else', async () => {
    const [good = '', bad = '', last = ''] = await devices(3, 'refused');
    const writer = new PresenceWriter(context, events);
    const results = await Promise.allSettled([
      writer.write(went(good, true)),
      writer.write({ deviceId: bad, columns: { binding: 'much longer than sixteen characters\0' } }),
      writer.write(went(last, true)),
      writer.write(went('no such device', true)),
    ]);
    assert.deepEqual(
      results.map((one) => (one.status === 'fulfilled' ? one.value : 'refused')),
      [true, 'refused', true, false],
    );
    assert.equal(await online([good, bad, last]), 2);
  });

  test('what follows one another is written at once, and what is refused of it takes nothing along', async () => {
    const [deviceId = '', other = ''] = await devices(2, 'merged');
    const writer = new PresenceWriter(context, events);
    const bad = { deviceId: other, columns: { binding: 'much longer than sixteen characters\0' } };
    const results = await Promise.allSettled(
      [
        went(deviceId, true),
        { ...went(deviceId, true), columns: { state: 'registered' as const } },
        // It has a condition, and must see what was before.
        { ...went(deviceId, false), ifRegistered: {} },
        went(other, true),
        bad,
        { deviceId: other, columns: { lifetime: 60 } },
      ].map((one) => writer.write(one)),
    );
    assert.deepEqual(
      results.map((one) => (one.status === 'fulfilled' ? one.value : 'refused')),
      [true, true, true, true, 'refused', true],
    );
    const { rows } = await database.pool.query<{ at: number }>(
      'select count(*)::int as at from device_events where device_id = $1 group by xmin order by 1',
      [deviceId],
    );
    assert.deepEqual(rows, [{ at: 1 }, { at: 2 }]);
    const { rows: left } = await database.pool.query<{ online: boolean; lifetime: number }>(
      'select online, lifetime from devices where id = $1',
      [other],
    );
    assert.deepEqual(left, [{ online: true, lifetime: 60 }]);
  });

  test('a stop does not wait for a database that stays away', async () => {
    const gone = openDatabase<Schema>('postgres://127.0.0.1:1/none');
    const writer = new PresenceWriter(
      { ...context, db: gone.db },
      new EventRecorder({ ...context, db: gone.db }, () => {}),
    );
    const written = assert.rejects(writer.write(went('any', true)));
    writer.giveUp(300);
    await written;
    await gone[Symbol.asyncDispose]();
  });

  test('any order of transitions leaves what a plain model says', async () => {
    const ids = await devices(5, 'model');
    const step = fc.record({
      device: fc.nat(4),
      kind: fc.constantFrom('online', 'offline', 'registered', 'deregistered'),
      pause: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        await database.pool.query(
          "update devices set online = false, state = 'unenrolled' where id = any($1)",
          [ids],
        );
        const before = await eventsOf(ids);
        const writer = new PresenceWriter(context, events);
        const model = new Map(ids.map((id) => [id, { online: false, state: 'unenrolled' }]));
        let expected = 0;
        const writes: Promise<unknown>[] = [];
        for (const { device, kind, pause } of steps) {
          const deviceId = ids[device] as string;
          const known = model.get(deviceId) as { online: boolean; state: string };
          const { event } = went(deviceId, true) as Required<Transition>;
          if (kind === 'online' || kind === 'offline') {
            known.online = kind === 'online';
            expected++;
            writes.push(writer.write(went(deviceId, known.online)));
          } else if (kind === 'registered') {
            known.state = 'registered';
            expected++;
            writes.push(writer.write({ deviceId, columns: { state: 'registered' }, event }));
          } else {
            const ends = known.state === 'registered';
            if (ends) known.state = 'deregistered';
            if (ends) expected++;
            const write = writer.write({
              deviceId,
              columns: { state: 'deregistered' },
              ifRegistered: {},
              event,
            });
            writes.push(write.then((happened) => assert.equal(happened, ends)));
          }
          if (pause) await new Promise(setImmediate);
        }
        await Promise.all(writes);
        const { rows } = await database.pool.query(
          'select id, online, state from devices where id = any($1)',
          [ids],
        );
        for (const { id, ...row } of rows as { id: string; online: boolean; state: string }[])
          assert.deepEqual(row, model.get(id));
        assert.equal((await eventsOf(ids)) - before, expected);
      }),
      { numRuns: 40 },
    );
  });
});
