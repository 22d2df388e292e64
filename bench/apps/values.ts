// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Board } from '@mbl/lab';
import type { ServiceClient } from '@mbl/service';
import { must } from '../../tests/support/apps/team.ts';
import { until } from '../../tests/support/world.ts';
import { median, type Row } from '../support.ts';

const path = '/3303/0/5700';
const patienceMs = 240_000;

/** The way of a value from `Set` in the app to a WebSocket of the service, and what becomes of a thousand of them a second. */
export async function values(
  board: Board,
  client: ServiceClient,
  device: string,
  runs: number,
): Promise<Row[]> {
  const before = await clockOf(board);
  const stop = new AbortController();
  const came: { readonly value: number; readonly at: number }[] = [];
  await using watch = await client.watch({
    signal: stop.signal,
    resources: [{ deviceId: device, path }],
  });
  const reading = (async () => {
    for await (const { notifications = [] } of watch)
      for (const { payload } of notifications)
        came.push({ value: Number(Buffer.from(payload, 'base64').toString()), at: now() });
  })();
  // What comes first is what was set before.
  await until('values', () => Promise.resolve(came.length > 3), patienceMs);
  came.length = 0;
  await until('values', () => Promise.resolve(came.length >= runs), patienceMs);
  const ways = came.map(({ value, at }) => at + before.offset - value);

  const trips: number[] = [];
  for (let i = 0; i < runs; i++) {
    const begin = performance.now();
    await client.read(device, '/3/0/13');
    trips.push(performance.now() - begin);
    await sleep(100);
  }
  came.length = 0;
  await must(board, ': >/data/apps/volumes/setter/state/flood');
  const last = await until(
    'the last value of many',
    () => Promise.resolve(came.find(({ value }) => value < 0)),
    patienceMs,
  );
  const many = came.filter(({ value }) => value < 1e9);
  stop.abort();
  await reading;
  const after = await clockOf(board);
  const sorted = ways.toSorted((a, b) => a - b);
  return [
    {
      name: 'from Set in an app to a subscriber of the service, median',
      value: median(ways),
      unit: 'ms',
      budget: 100 + median(before.trips),
    },
    { name: '  p90', value: sorted[Math.floor(sorted.length * 0.9)] ?? Number.NaN, unit: 'ms' },
    { name: '  of the network: there and back over ssh', value: median(before.trips), unit: 'ms' },
    { name: '  a read of a resource through the service', value: median(trips), unit: 'ms' },
    {
      name: '  the two clocks are known to',
      value: Math.max(Math.min(...before.trips) / 2, Math.abs(after.offset - before.offset)),
      unit: 'ms',
    },
    { name: 'values that an app set in a second, of 1,000 wanted', value: -last.value / 10, unit: '/s' },
    { name: '  notifications of them, the last value among them', value: many.length, unit: '' },
  ];
}

const now = (): number => performance.timeOrigin + performance.now();

/** The guest's clock less the host's in ms, and how long the fastest ways to it and back took. */
async function clockOf(board: Board): Promise<{ readonly offset: number; readonly trips: number[] }> {
  const script = 'process.stdin.on("data", () => console.log(performance.timeOrigin + performance.now()))';
  const child = spawn('ssh', [...board.sshArguments(), '--', `node -e '${script}'`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const probes: { readonly trip: number; readonly offset: number }[] = [];
  for (let i = 0; i < 40; i++) {
    const from = now();
    child.stdin.write('\n');
    const guest = Number((await lines.next()).value);
    const to = now();
    // The first ones wait for the program, and for its code to be compiled.
    if (i >= 10) probes.push({ trip: to - from, offset: guest - (from + to) / 2 });
    await sleep(50);
  }
  child.stdin.end();
  const best = probes.toSorted((a, b) => a.trip - b.trip).slice(0, 7);
  return { offset: median(best.map(({ offset }) => offset)), trips: best.map(({ trip }) => trip) };
}
