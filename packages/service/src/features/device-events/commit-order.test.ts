// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { openDatabase } from '../../infra/database.ts';
import { migrate, readMigrations } from '../../infra/migrations.ts';
import { eventually } from '../../testing/device.ts';
import { newDatabase, TestService } from '../../testing/service.ts';

describe('a reader that pages through events', { timeout: 240_000 }, () => {
  let service: TestService;
  before(async () => {
    service = await TestService.start();
  });
  after(() => service[Symbol.asyncDispose]());

  type Event = { id: string; description: string };
  const page = async (cursor: string | undefined, more = ''): Promise<Event[]> =>
    (
      await service.get(
        `/v3/device-events?limit=1000${cursor === undefined ? '' : `&after=${cursor}`}${more}`,
      )
    ).body.data;

  /** A writer with a connection of its own, whose ids are given when it begins, as the service gives them. */
  async function writer(): Promise<pg.Client> {
    const client = new pg.Client(service.options.databaseUrl);
    await client.connect();
    return client;
  }
  const insert = async (client: pg.Client, id: string, description: string) =>
    await client.query(
      `insert into device_events (id, account_id, date_time, event_type, event_type_category, event_type_description, description)
       select $1, id, now(), 'device.updated', 'UPDATED', 'INFO', $2 from accounts`,
      [id, description],
    );
  const idAt = (time: number): string => `${time.toString(16).padStart(12, '0')}${'0'.repeat(20)}`;

  test('sees first what was committed first, whatever the ids say', async () => {
    const [first, second, third] = [await writer(), await writer(), await writer()];
    const now = Date.now();
    await first.query('begin');
    await insert(first, idAt(now + 3), 'rolled back');
    const inserted = insert(second, idAt(now + 2), 'written first');
    const waiting = async () =>
      (await third.query("select from pg_locks where locktype = 'advisory' and not granted")).rowCount === 1;
    await eventually(waiting, 'the second writer waits for the first');
    assert.deepEqual(await page(undefined), []);
    await first.query('rollback');
    await inserted;
    const seen = await page(undefined);
    await insert(third, idAt(now + 1), 'written last');
    const rest = await page(seen.at(-1)?.id);
    assert.deepEqual(
      [seen, rest].map((events) => events.map(({ description }) => description)),
      [['written first'], ['written last']],
    );
    assert.deepEqual(
      (await page(undefined, '&order=DESC')).map(({ description }) => description),
      ['written last', 'written first'],
    );
    await Promise.all([first.end(), second.end(), third.end()]);
  });

  test('sees each of many, once, whatever the writers do', async () => {
    const writers = await Promise.all(Array.from({ length: 6 }, writer));
    const [last] = await page(undefined, '&order=DESC');
    let cursor = last?.id;
    const seen: string[] = [];
    const read = async () => {
      const found = await page(cursor);
      seen.push(...found.map(({ id }) => id));
      cursor = found.at(-1)?.id ?? cursor;
    };
    const wrote: string[] = [];
    let number = Date.now() + 1000;
    const work = writers.map(async (client, which) => {
      for (let round = 0; round < 40; round++) {
        const ids = [idAt(number++), idAt(number++)];
        await client.query('begin');
        await client.query('select pg_sleep(random() * 0.01)');
        for (const id of ids) await insert(client, id, `${which}`);
        await client.query('select pg_sleep(random() * 0.02)');
        const kept = Math.random() > 0.2;
        await client.query(kept ? 'commit' : 'rollback');
        if (kept) wrote.push(...ids);
      }
    });
    const writing = { done: false };
    const all = Promise.all(work).finally(() => (writing.done = true));
    while (!writing.done) await read();
    await all;
    await read();
    assert.equal(new Set(seen).size, seen.length, 'none twice');
    assert.deepEqual(seen.toSorted(), wrote.toSorted());
    await Promise.all(writers.map((client) => client.end()));
  });

  test('goes on where it was although its last event was pruned', async () => {
    const client = await writer();
    const base = Date.now() + 10_000_000;
    for (const offset of [1, 2, 3]) await insert(client, idAt(base + offset), `pruned ${offset}`);
    await client.query('delete from device_events where id = $1', [idAt(base + 1)]);
    const rest = await page(idAt(base + 1));
    assert.deepEqual(
      rest.map(({ description }) => description),
      ['pruned 2', 'pruned 3'],
    );
    await client.end();
  });
});

test('events of before keep their order when they get their positions', async () => {
  await using database = openDatabase(await newDatabase());
  const all = await readMigrations(join(import.meta.dirname, '..'));
  const before = all.filter(({ name }) => name < '0016');
  await migrate(database.pool, before);
  const { pool } = database;
  await pool.query("insert into accounts (id, created_at) values ('a', now())");
  // Each a transaction of its own.
  for (const id of ['c', 'a', 'b'])
    await pool.query(
      `insert into device_events (id, account_id, date_time, event_type, event_type_category, event_type_description, description)
       values ($1, 'a', now(), 'device.updated', 'UPDATED', 'INFO', '')`,
      [id],
    );
  await migrate(pool, all);
  await pool.query(
    `insert into device_events (id, account_id, date_time, event_type, event_type_category, event_type_description, description)
     values ('0', 'a', now(), 'device.updated', 'UPDATED', 'INFO', '')`,
  );
  const { rows } = await pool.query<{ id: string }>('select id from device_events order by position');
  assert.deepEqual(
    rows.map(({ id }) => id),
    ['c', 'a', 'b', '0'],
  );
});
