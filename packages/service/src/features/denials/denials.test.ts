// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import type { Context } from '../../context.ts';
import { openDatabase } from '../../infra/database.ts';
import { idSource } from '../../infra/ids.ts';
import { type Log, silentLog } from '../../infra/log.ts';
import { migrate, readMigrations } from '../../infra/migrations.ts';
import type { Schema } from '../../schema.ts';
import { newDatabase } from '../../testing/service.ts';
import { ensureAccount } from '../api-keys/keys.ts';
import { EventRecorder } from '../device-events/recorder.ts';
import { Denials } from './denials.ts';

/** Denials on a database of their own, with a clock that the test sets and what they say to the log. */
async function prepare(stack: AsyncDisposableStack) {
  const database = stack.use(openDatabase<Schema>(await newDatabase()));
  await migrate(database.pool, await readMigrations(`${import.meta.dirname}/..`));
  const clock = { time: Date.UTC(2026, 0, 1) };
  const now = () => clock.time;
  const newId = idSource(now);
  const accountId = await ensureAccount(database.db, newId, now);
  const lines: { message: string; fields: Record<string, unknown> | undefined }[] = [];
  const log: Log = { ...silentLog, warn: (message, fields) => void lines.push({ message, fields }) };
  const context: Context = { db: database.db, accountId, now, newId, log };
  const events = new EventRecorder(context, () => {});
  return { database, clock, lines, context, events, denials: new Denials(context, events) };
}

const denial = (fingerprint: string) => ({
  door: 'lwm2m' as const,
  reason: 'foreign-certificate' as const,
  description: 'x',
  endpointName: 'bad name\n',
  fingerprint,
  remoteAddress: '192.0.2.1',
});

test('10,000 strangers evict neither a clone nor what the others did, and are bounded themselves', async () => {
  await using stack = new AsyncDisposableStack();
  const { database, clock, context, denials } = await prepare(stack);
  await denials.record({ ...denial('clone'), reason: 'already-connected' });
  await denials.record({ ...denial('code'), door: 'est', reason: 'wrong-code' });
  clock.time += 60_000;
  const first = context.newId();
  await database.pool.query(
    `insert into denials (id, account_id, endpoint_name, door, reason, description, fingerprint, remote_address, created_at, last_at, minute)
     select $1 || lpad(to_hex(n), 16, '0'), $2, '', 'lwm2m', 'foreign-certificate', '', n::text, '', now(), now(), 1
     from generate_series(1, 10100) as n`,
    [first.slice(0, 16), context.accountId],
  );
  clock.time += 60_000;
  for (let n = 0; n < 100; n++) await denials.record(denial(`last ${n}`));
  const { rows } = await database.pool.query<{ reason: string; n: number }>(
    'select reason, count(*)::int as n from denials group by reason order by reason',
  );
  assert.deepEqual(rows, [
    { reason: 'already-connected', n: 1 },
    { reason: 'foreign-certificate', n: 1000 },
    { reason: 'wrong-code', n: 1 },
  ]);
  const { rows: last } = await database.pool.query("select from denials where fingerprint like 'last%'");
  assert.equal(last.length, 100, 'the newest stay');
});

test('a flood of refusals is cut off each minute, and events go after a month', async () => {
  await using stack = new AsyncDisposableStack();
  const { database, clock, lines, events, denials } = await prepare(stack);
  const count = async (table: string) =>
    Number((await database.pool.query(`select count(*) as n from ${pg.escapeIdentifier(table)}`)).rows[0].n);
  for (let n = 0; n < 250; n++) await denials.record(denial('same'));
  for (let n = 1; n < 250; n++) await denials.record(denial(String(n)));
  assert.equal(await count('denials'), 200, 'repeats take no room');
  await denials.record({ ...denial('clone'), reason: 'already-connected' });
  assert.equal(await count('denials'), 201, 'strangers hide no clone');
  const left = lines.filter(({ message }) => message !== 'Refused');
  assert.deepEqual([lines.length - left.length, left.length], [201, 1], 'the log is spared, and says so');
  clock.time += 60_000;
  await denials.record(denial('later'));
  assert.equal(await count('denials'), 202);
  assert.deepEqual(lines.at(-2), {
    message: 'Refusals were left out',
    fields: { door: 'lwm2m', reason: 'foreign-certificate', count: 299 },
  });
  const row = (await database.pool.query("select * from denials where fingerprint = 'later'")).rows[0];
  assert.equal(row.endpoint_name, '', 'a name that is none is not repeated');

  const event = { type: 'device.updated' as const, deviceId: null, endpointName: null, description: '' };
  await events.record(event);
  clock.time += 29 * 86_400_000;
  await events.record(event);
  await events.prune();
  assert.equal(await count('device_events'), 2);
  clock.time += 2 * 86_400_000;
  await events.prune();
  assert.equal(await count('device_events'), 1);
});
