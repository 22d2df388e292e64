// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { timerOf } from '../../testing/kernel-timer.ts';
import { leaveAlone, type Registered, sparingPings, watchNetwork } from './silence.ts';

test('few devices are pinged as often as was said, many share so many pings a second, nobody waits for ever', () => {
  let connected = 0;
  const pings = sparingPings(
    { intervalMs: 10_000, timeoutMs: 5000 },
    () => connected,
    () => undefined,
  );
  assert.equal(pings.timeoutMs, 5000);
  for (const [devices, seconds] of [
    [0, 10],
    [100, 10],
    [1500, 150],
    [20_000, 300],
  ] as const) {
    connected = devices;
    assert.equal(pings.intervalMs, seconds * 1000, `${devices} devices`);
  }
});

test('a device in queue mode is left to sleep for the lifetime of its registration', () => {
  let registered: Registered | undefined;
  const pings = sparingPings(
    { intervalMs: 10_000, timeoutMs: 5000 },
    () => 1500,
    () => registered,
  );
  assert.equal(pings.intervalMs, 150_000, 'before it has registered');
  for (const [queueMode, lifetime, seconds] of [
    [false, 3600, 150],
    [true, 3600, 3600],
    [true, 1, 10],
    [true, 0, 86_400],
    [true, 2 ** 31, 86_400],
  ] as const) {
    registered = { queueMode, lifetime };
    assert.equal(pings.intervalMs, seconds * 1000, `${queueMode} ${lifetime}`);
  }
});

test('the kernel probes a silent connection, unless its device sleeps', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  assert.equal(timerOf(socket), undefined);
  watchNetwork(socket);
  const seconds = timerOf(socket) ?? Number.NaN;
  assert.ok(seconds > 0 && seconds <= 10, `in ${seconds} s`);
  leaveAlone(new TLSSocket(socket, { isServer: true }));
  assert.equal(timerOf(socket), undefined);
  client.destroy();
  socket.destroy();
  server.close();
});
