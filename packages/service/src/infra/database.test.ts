// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import pg from 'pg';
import { eventually } from '../testing/device.ts';
import { newDatabase, TestService } from '../testing/service.ts';
import { isPassing, openDatabase } from './database.ts';

/** Ends every connection that runs a statement like this one, as an administrator or a failover does. */
async function terminate(url: string, statement: string): Promise<void> {
  const admin = new pg.Client(url);
  await admin.connect();
  try {
    await eventually(async () => {
      const { rowCount } = await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where query like $1 and state <> 'idle' and pid <> pg_backend_pid() and datname = current_database()`,
        [statement],
      );
      return rowCount === 1;
    }, `a connection that runs ${statement}`);
  } finally {
    await admin.end();
  }
}

test('a connection that ends under a statement of a transaction, or between two, fails these and nothing else', async () => {
  const url = await newDatabase();
  for (const statement of ["select 'under', pg_sleep(60)", "select 'between'"]) {
    await using database = openDatabase<Record<string, never>>(url);
    const { db } = database;
    const ended = terminate(url, `${statement}%`);
    const transaction = db.transaction().execute(async (inside) => {
      await sql.raw(statement).execute(inside);
      await ended;
      await sql`select 1`.execute(inside);
    });
    await Promise.all([assert.rejects(transaction), ended]);
    const { rows } = await sql<{ one: number }>`select 1 as one`.execute(db);
    assert.deepEqual(rows, [{ one: 1 }]);
  }
});

test('a statement that hangs, and a transaction that fell silent, end by themselves', async () => {
  await using database = openDatabase(await newDatabase());
  for (const name of ['statement_timeout', 'idle_in_transaction_session_timeout']) {
    const { rows } = await database.pool.query<{ ends: string }>('select current_setting($1) as ends', [
      name,
    ]);
    assert.deepEqual(rows, [{ ends: '30s' }], name);
  }
});

test('a service whose connection is ended under a request answers that with an error, and the next', async () => {
  await using service = await TestService.start();
  const url = service.options.databaseUrl ?? '';
  const blocker = new pg.Client(url);
  await blocker.connect();
  await blocker.query('begin');
  await blocker.query('lock table devices in access exclusive mode');
  // In a transaction: its connection is still held when it breaks.
  const asked = service.call('POST', '/v3/devices', { endpoint_name: 'board' });
  await terminate(url, '%"devices"%');
  assert.equal((await asked).status, 500);
  await blocker.query('rollback');
  await blocker.end();
  assert.equal((await service.get('/v3/devices')).status, 200);
});

test('a database that is read-only for a while is a passing state; what it refuses is none', async () => {
  await using database = openDatabase(await newDatabase());
  const refused = async (statement: string): Promise<boolean> =>
    await database.pool.query(statement).then(
      () => assert.fail('it was carried out'),
      (error: unknown) => isPassing(error),
    );
  await database.pool.query('create table t (n int not null)');
  assert.equal(await refused('begin read only; insert into t values (1)'), true);
  assert.equal(await refused('rollback; insert into t values (null)'), false);
  assert.equal(await refused('select none from t'), false);
});
