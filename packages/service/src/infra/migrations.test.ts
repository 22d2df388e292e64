// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { newDatabase } from '../testing/service.ts';
import { migrate } from './migrations.ts';

test('migrations: once each even when two start at once, all of one or nothing, none from the future', async () => {
  const pool = new pg.Pool({ connectionString: await newDatabase() });
  const first = { name: '0001-a', sql: 'create table a (n int); insert into a values (1)' };
  const second = { name: '0002-b', sql: 'create table b (n int)' };
  const both = await Promise.all([migrate(pool, [first]), migrate(pool, [first])]);
  assert.deepEqual(
    both.map((applied) => applied.length).toSorted((x, y) => x - y),
    [0, 1],
  );
  const broken = { name: '0002-b', sql: 'create table b (n int); insert into nowhere values (1)' };
  await assert.rejects(migrate(pool, [first, broken]), { code: 'service/migration-failed' });
  assert.deepEqual(await migrate(pool, [first, second]), ['0002-b'], 'nothing was left of the failed one');
  await assert.rejects(migrate(pool, [first]), { code: 'service/database-newer' });
  assert.equal((await pool.query('select count(*)::int as n from a')).rows[0].n, 1);
  await pool.end();
});
