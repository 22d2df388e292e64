// SPDX-License-Identifier: Apache-2.0
//
// Budgets: so many devices connect and register in the same moment, as after an outage: none is lost, and the event loop of the service is
// never held up for 200 ms. MBL_BENCH_DEVICES is their number; 20,000 need `ulimit -n` above that.
import { Load } from './load.ts';
import { makeDevices } from './service-devices.ts';
import { BenchService } from './service-support.ts';
import { report } from './support.ts';

const count = Number(process.env['MBL_BENCH_DEVICES'] ?? 3000);
await using service = await BenchService.start();
const processes = Math.ceil(count / 5000);
const made = await makeDevices(service, count, { prefix: 'flood', status: 'issued' });
await using load = await Load.start(service, made, { processes });
await service.stall();
const before = await service.cpu();
const { seconds, connected, failed, median, p99 } = await load.order({
  do: 'connect',
  from: 0,
  to: count,
  atOnce: count,
  coap: true,
});
const stall = await service.stall();
const cpu = await service.cpu();
const [record] = await service.sql("select count(*) from devices where online and state = 'registered'");
const [events] = await service.sql(
  `select count(*), count(distinct (device_id, event_type)) from device_events where event_type in ('device.online', 'device.registered')`,
);
console.log(`${count} devices: ${connected} connected, ${record} on record, events ${events}`);
console.log(`${failed} connections broke and were tried again`);
const { connected: still } = await load.order({ do: 'count' });
report([
  {
    name: 'devices that are not connected, or not on record as such',
    value: count - Math.min(connected, still, Number(record)),
    unit: '',
    budget: 0,
  },
  { name: 'longest stall of the event loop', value: stall, unit: 'ms', budget: 200 },
  { name: 'until all were in', value: seconds, unit: 's' },
  { name: '  half of them', value: median / 1000, unit: 's' },
  { name: '  99 of 100', value: p99 / 1000, unit: 's' },
  { name: 'CPU of the service for each', value: ((cpu.service - before.service) * 1000) / count, unit: 'ms' },
  {
    name: 'CPU of PostgreSQL for each',
    value: ((cpu.database - before.database) * 1000) / count,
    unit: 'ms',
  },
]);
