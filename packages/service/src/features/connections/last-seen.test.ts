// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { enrol, eventually, TestDevice } from '../../testing/device.ts';
import { directoryView } from '../../testing/directory-view.ts';
import { TestService } from '../../testing/service.ts';

const minuteMs = 60_000;
const housekeepingMs = 15_000;

test('when a connected device was heard is written down every five minutes, and shown as it is', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let time = Math.floor(Date.now() / 1000) * 1000;
  await using service = await TestService.start({
    now: () => time,
    keepAlive: { intervalMs: 60 * minuteMs, timeoutMs: minuteMs },
  });
  const { show } = directoryView(() => service);
  const identity = await enrol(service, 'heard');
  await using device = await TestDevice.register(service, identity);
  const database = new pg.Client(service.options.databaseUrl);
  await database.connect();
  try {
    await database.query(`
      create table written (at timestamptz);
      create function note() returns trigger language plpgsql as $$
      begin insert into written values (new.last_seen); return new; end $$;
      create trigger note after update on devices for each row execute function note();`);
    const heardAfter = async (minutes: number) => {
      time += minutes * minuteMs;
      await device.peer.ping({ timeoutMs: minuteMs });
      t.mock.timers.tick(housekeepingMs);
      return new Date(time).toISOString();
    };
    // What the registration wrote is the first.
    const first = await heardAfter(6);
    const written = async () =>
      (await database.query<{ at: Date }>('select at from written')).rows.map(({ at }) => at.toISOString());
    await eventually(async () => (await written()).length > 0, 'written down');
    const second = await heardAfter(4);
    assert.equal((await show(identity.deviceId)).last_seen, second, 'the API asks the connection');
    const third = await heardAfter(2);
    await eventually(async () => (await written()).includes(third), 'written down again');
    assert.deepEqual(await written(), [first, third]);
  } finally {
    await database.end();
  }
});
