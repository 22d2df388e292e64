// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Context } from '../../context.ts';
import { openDatabase } from '../../infra/database.ts';
import { idSource } from '../../infra/ids.ts';
import { silentLog } from '../../infra/log.ts';
import type { Schema } from '../../schema.ts';
import { TestService } from '../../testing/service.ts';
import { EventRecorder } from '../device-events/recorder.ts';
import { endLeftovers } from './presence-leftovers.ts';

const describeEvents = {
  offline: {
    type: 'device.offline',
    description: 'off',
    changes: { online: false },
    data: { reason: 'killed' },
  },
  expired: { type: 'device.registration-expired', description: 'over', changes: { state: 'deregistered' } },
} as const;

/** What a device was when its service was killed, and the events that it is to have. */
const kinds = [
  { online: true, state: 'registered', ends: '1 hour', events: ['device.offline'] },
  { online: false, state: 'registered', ends: '-1 hour', events: ['device.registration-expired'] },
  {
    online: true,
    state: 'registered',
    ends: '-1 hour',
    events: ['device.offline', 'device.registration-expired'],
  },
  // The lifetime 0 has no end.
  { online: true, state: 'registered', ends: null, events: ['device.offline'] },
  { online: true, state: 'deregistered', ends: null, events: ['device.offline'] },
  { online: false, state: 'registered', ends: '1 hour', events: [] },
  { online: false, state: 'unenrolled', ends: null, events: [] },
] as const;

test('what a killed service left behind is ended page by page, each device with its events once, over a start that broke off', {
  timeout: 240_000,
}, async () => {
  await using service = await TestService.start();
  await using database = openDatabase<Schema>(String(service.options.databaseUrl));
  const { id: accountId } = await database.db.selectFrom('accounts').select('id').executeTakeFirstOrThrow();
  const context: Context = {
    db: database.db,
    accountId,
    now: Date.now,
    newId: idSource(Date.now),
    log: silentLog,
  };
  const devices = Array.from({ length: 140 }, (_, n) => {
    const kind = kinds[n % kinds.length] as (typeof kinds)[number];
    return { ...kind, id: context.newId(), name: `left-${n}` };
  });
  for (const { id, name, online, state, ends } of devices) {
    await database.pool.query(
      `insert into devices (id, account_id, endpoint_name, created_at, updated_at, online, state, registration_expires_at)
       values ($1, $2, $3, now(), now(), $4, $5, now() + $6::interval)`,
      [id, accountId, name, online, state, ends],
    );
  }
  const left = devices.filter(({ events }) => events.length > 0);
  const recorder = new EventRecorder(context, () => assert.fail('nobody listens at a start'));
  const end = async () => await endLeftovers(context, recorder, describeEvents, 4);

  // The start breaks off at a device in the middle.
  const middle = left[Math.floor(left.length / 2)]?.id ?? '';
  await database.pool.query(
    `alter table device_events add constraint broken check (device_id <> '${middle}') not valid`,
  );
  await assert.rejects(end(), /broken/);
  const written = async () =>
    (
      await database.pool.query<{ device_id: string; event_type: string; endpoint_name: string }>(
        'select * from device_events order by position',
      )
    ).rows;
  const before = (await written()).length;
  assert.ok(before > 0, 'pages before that are written');
  await database.pool.query('alter table device_events drop constraint broken');
  const rest = await end();
  assert.ok(rest > 0 && rest < left.length, 'only what was left over is looked at again');
  assert.equal(await end(), 0);

  const all = await written();
  for (const { id, name, events } of devices) {
    const own = all.filter((event) => event.device_id === id);
    assert.deepEqual(
      own.map((event) => event.event_type),
      events,
    );
    assert.ok(own.every((event) => event.endpoint_name === name));
  }
  const { rows } = await database.pool.query(
    'select id, online, state, registration_expires_at is null as endless from devices order by id',
  );
  assert.deepEqual(
    rows,
    devices.map(({ id, state, ends, events }) => {
      const over = events.some((event) => event === 'device.registration-expired');
      return { id, online: false, state: over ? 'deregistered' : state, endless: over || ends === null };
    }),
  );
  const [event] = (await service.get('/v3/device-events?limit=2&event_type__eq=device.offline')).body.data;
  assert.deepEqual(
    [event.description, event.changes, event.data, event.state_change, event.event_type_category],
    ['off', { online: false }, { reason: 'killed' }, false, 'OFFLINE'],
  );
});
