// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import type { Context } from '../../context.ts';
import { openDatabase } from '../../infra/database.ts';
import { idSource } from '../../infra/ids.ts';
import { silentLog } from '../../infra/log.ts';
import { migrate, readMigrations } from '../../infra/migrations.ts';
import type { Schema } from '../../schema.ts';
import { newDatabase } from '../../testing/service.ts';
import { ensureAccount } from '../api-keys/keys.ts';
import { EventRecorder } from '../device-events/recorder.ts';
import { Denials } from './denials.ts';

test('a flood of refusals is cut off each minute, and events go after a month', async () => {
  await using database = openDatabase<Schema>(await newDatabase());
  await migrate(database.pool, await readMigrations(`${import.meta.dirname}/..`));
  let time = Date.UTC(2026, 0, 1);
  const now = () => time;
  const newId = idSource(now);
  const accountId = await ensureAccount(database.db, newId, now);
  const context: Context = { db: database.db, accountId, now, newId, log: silentLog };
  const events = new EventRecorder(context, () => {});
  const denials = new Denials(context, events);
  const denial = (fingerprint: string) => ({
    door: 'lwm2m' as const,
    reason: 'foreign-certificate' as const,
    description: 'x',
    endpointName: 'bad name\n',
    fingerprint,
    remoteAddress: '192.0.2.1',
  });
  const count = async (table: string) =>
    Number((await database.pool.query(`select count(*) as n from ${pg.escapeIdentifier(table)}`)).rows[0].n);
  for (let n = 0; n < 650; n++) await denials.record(denial('same'));
  for (let n = 1; n < 650; n++) await denials.record(denial(String(n)));
  assert.equal(await count('denials'), 600, 'repeats take no room');
  await denials.record({ ...denial('clone'), reason: 'already-connected' });
  assert.equal(await count('denials'), 601, 'strangers hide no clone');
  time += 60_000;
  await denials.record(denial('later'));
  assert.equal(await count('denials'), 602);
  const row = (await database.pool.query("select * from denials where fingerprint = 'later'")).rows[0];
  assert.equal(row.endpoint_name, '', 'a name that is none is not repeated');

  const event = { type: 'device.updated' as const, deviceId: null, endpointName: null, description: '' };
  await events.record(event);
  time += 29 * 86_400_000;
  await events.record(event);
  await events.prune();
  assert.equal(await count('device_events'), 2);
  time += 2 * 86_400_000;
  await events.prune();
  assert.equal(await count('device_events'), 1);
});
