// SPDX-License-Identifier: Apache-2.0
//
// Budget: the start of a service that was killed with 100,000 devices in its directory, all of them connected, or half of them overdue.
// MBL_BENCH_DEVICES is another number.
import { BenchService } from './service-support.ts';
import { report, type Row } from './support.ts';

const devices = Number(process.env['MBL_BENCH_DEVICES'] ?? 100_000);
await using service = await BenchService.start();
const rows: Row[] = [{ name: 'start with nothing left over', value: await restart(), unit: 's' }];
for (const [name, online, overdue, budget] of [
  ['all connected, as a moment after it was killed', 'true', 'false', 5],
  ['half connected, the others overdue', "right(id, 1) < '8'", "substr(md5(n::text), 20, 1) >= '8'", 5],
  ['all connected and overdue, as after an outage', 'true', 'true', undefined],
] as const) {
  await service.sql(`
    truncate device_events; delete from devices;
    insert into devices (id, account_id, endpoint_name, created_at, updated_at, online, last_seen, state, registered_at,
      registration_expires_at, lifetime, binding, lwm2m_version, resources)
    select lpad(to_hex(n), 12, '0') || left(md5(n::text), 20), (select id from accounts), 'device-' || n, now(), now(), false, now(), 'registered', now(),
      now() + case when ${overdue} then interval '-1 hour' else interval '1 hour' end, 300, 'T', '1.1',
      '[{"path":"/1/0"},{"path":"/3/0"},{"path":"/4/0"},{"path":"/14/0"},{"path":"/14/1"},{"path":"/14/2"}]'
    from generate_series(1, ${devices}) as n;
    update devices set online = true where ${online};`);
  // As the database is that was in use; and the worst moment of its log, at which it writes whole pages.
  for (const command of ['vacuum analyze devices', 'checkpoint']) await service.sql(command);
  const before = await service.cpu();
  const value = await restart();
  const after = await service.cpu();
  const [left] = await service.sql(
    "select count(*) from devices where online or (state = 'registered' and registration_expires_at < now())",
  );
  const [events] = await service.sql(
    'select count(*), count(distinct (device_id, event_type)) from device_events',
  );
  const wanted = devices * (online === 'true' && overdue === 'true' ? 2 : 1);
  if (left !== '0' || events !== `${wanted}|${wanted}`)
    throw new Error(`${left} devices were left, ${events} events were written for ${wanted}`);
  rows.push(
    {
      name: `start, ${devices} devices: ${name}`,
      value,
      unit: 's',
      ...(budget === undefined ? {} : { budget }),
    },
    { name: '  of it CPU of the service, Node itself included', value: after.service, unit: 's' },
    { name: '  of it CPU of PostgreSQL', value: after.database - before.database, unit: 's' },
  );
}
report(rows);

async function restart(): Promise<number> {
  await service.kill();
  return await service.start();
}
