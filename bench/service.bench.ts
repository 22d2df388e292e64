// SPDX-License-Identifier: Apache-2.0
//
// What devices cost the service: registrations over TLS beside bare TLS handshakes with the same certificates in the same run, connected devices
// that say nothing, memory, and the way of an event from a device to a WebSocket. MBL_BENCH_DEVICES is the number of devices,
// MBL_BENCH_IDLE the seconds in which they idle.
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { end, forkBare, Load } from './load.ts';
import { makeDevices, type SimulatedDevices } from './service-devices.ts';
import { BenchService } from './service-support.ts';
import { report, type Row } from './support.ts';

const count = Number(process.env['MBL_BENCH_DEVICES'] ?? 2000);
const idleSeconds = Number(process.env['MBL_BENCH_IDLE'] ?? 60);
/** As many as make the service busy, and no more: it is the cost that is asked for, not the queue. */
const atOnce = 32;
const events = 200;

await using service = await BenchService.start();
const made = await makeDevices(service, count, { prefix: 'bench', status: 'active' });
const bare = await bareHandshakes(made);
await using load = await Load.start(service, made);
// The first few compile the code.
const warm = Math.min(200, count / 10);
await load.order({ do: 'connect', from: 0, to: warm, atOnce, coap: true });
const [before, memoryBefore] = [await service.cpu(), await service.memory()];
const registered = await load.order({ do: 'connect', from: warm, to: count, atOnce, coap: true });
// What is still to be written belongs to it.
await sleep(1000);
const after = await service.cpu();
const measured = count - warm;
const each = (from: number, to: number) => ((to - from) * 1000) / measured;
const rows: Row[] = [
  { name: 'registrations over TLS', value: measured / registered.seconds, unit: '/s' },
  { name: '  p99', value: registered.p99, unit: 'ms' },
  {
    name: '  CPU of the service for each',
    value: each(before.service, after.service),
    unit: 'ms',
    budget: 1.5,
  },
  {
    name: '  CPU of PostgreSQL for each',
    value: each(before.database, after.database),
    unit: 'ms',
    budget: 0.3,
  },
  { name: 'bare TLS handshakes, the same certificates', value: measured / bare.seconds, unit: '/s' },
  { name: '  CPU of their server for each', value: bare.cpuMs, unit: 'ms' },
  {
    name: `memory of a device`,
    value: (((await service.memory()) - memoryBefore) * 1024) / measured,
    unit: 'kB',
  },
];
const way = await eventToWebSocket(load, made);
rows.push(
  { name: 'from a notification of a device to a WebSocket, median', value: way.median, unit: 'ms' },
  { name: '  p99', value: way.p99, unit: 'ms' },
);
await sleep(15_000);
const idleFrom = await service.cpu();
await sleep(idleSeconds * 1000);
const idleTo = await service.cpu();
const share = (from: number, to: number) => ((to - from) * 100) / idleSeconds;
rows.push(
  {
    name: `${count} idle devices: of a core`,
    value: share(idleFrom.service, idleTo.service),
    unit: '%',
    budget: (0.5 * count) / 2000,
  },
  { name: '  PostgreSQL', value: share(idleFrom.database, idleTo.database), unit: '%' },
);
const { connected } = await load.order({ do: 'count' });
if (connected !== count) throw new Error(`${connected} of ${count} devices are connected`);
report(rows);

async function bareHandshakes(devices: SimulatedDevices): Promise<{ seconds: number; cpuMs: number }> {
  const ca = (file: string) => join(service.directory, 'ca', file);
  const server = forkBare('bare-tls.ts', [ca('service.key'), ca('service.pem'), ca('device-ca.pem')]);
  try {
    const [port] = (await once(server, 'message')) as [number];
    const cpu = async () => {
      const answer = once(server, 'message');
      server.send('cpu');
      return ((await answer) as [number])[0];
    };
    await using clients = await Load.start(service, devices, { port });
    const first = Math.min(200, count / 10);
    await clients.order({ do: 'connect', from: 0, to: first, atOnce, coap: false });
    const from = await cpu();
    const { seconds } = await clients.order({ do: 'connect', from: first, to: count, atOnce, coap: false });
    return { seconds, cpuMs: (((await cpu()) - from) * 1000) / (count - first) };
  } finally {
    await end(server);
  }
}

async function eventToWebSocket(
  devices: Load,
  { devices: [device] }: SimulatedDevices,
): Promise<{ median: number; p99: number }> {
  const { http, apiKey } = service.file;
  const socket = new WebSocket(
    `${http.replace('http', 'ws')}/v2/notification/websocket-connect?channel=bench`,
    ['wss', `pelion_${apiKey}`],
  );
  await once(socket, 'open');
  const ways: number[] = [];
  socket.addEventListener('message', ({ data }) => {
    const now = process.hrtime.bigint();
    const { notifications = [] } = JSON.parse(String(data)) as { notifications?: { payload: string }[] };
    for (const { payload } of notifications) {
      const sent = BigInt(Buffer.from(payload, 'base64').toString());
      ways.push(Number(now - sent) / 1e6);
    }
  });
  const url = `${http}/v2/subscriptions/${device?.id}/3303/0/5700?channel=bench`;
  const answer = await fetch(url, { method: 'PUT', headers: { authorization: `Bearer ${apiKey}` } });
  if (!answer.ok) throw new Error(`the subscription was answered with ${answer.status}`);
  await sleep(2000);
  ways.length = 0;
  await devices.order({ do: 'notify', device: 0, times: events, pauseMs: 20 });
  const deadline = performance.now() + 30_000;
  while (ways.length < events && performance.now() < deadline) await sleep(50);
  socket.close();
  if (ways.length < events) throw new Error(`${ways.length} of ${events} events came`);
  ways.sort((a, b) => a - b);
  return { median: ways[Math.floor(events / 2)] ?? 0, p99: ways[Math.floor(events * 0.99)] ?? 0 };
}
