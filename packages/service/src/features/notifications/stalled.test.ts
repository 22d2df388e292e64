// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { silentLog } from '../../infra/log.ts';
import { queueBytes } from './channel.ts';
import { Channels } from './channels.ts';
import { WebSocketDoor } from './websocket.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that are in use, on and off the heap. */
async function held(): Promise<number> {
  await turn();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test('a WebSocket whose peer reads nothing costs a bounded number of bytes, whatever happens meanwhile', {
  timeout: 120_000,
}, async () => {
  using channels = new Channels(Date.now);
  const door = new WebSocketDoor({
    channels,
    authenticate: async () => 'key',
    log: silentLog,
    now: Date.now,
  });
  const server = createServer();
  door.attach(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const lines = [
    'GET /v2/notification/websocket-connect?channel=stalled HTTP/1.1',
    'host: localhost',
    'authorization: Bearer key',
    'connection: upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
  ];
  peer.write(`${lines.join('\r\n')}\r\n\r\n`);
  const [answer] = await once(peer, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 101/);
  peer.pause();

  const size = 16 * 1024;
  const before = await held();
  let sent = 0;
  const most = { bytes: 0 };
  // Four times what a channel keeps; what the kernel takes for the peer is a few MiB of it.
  for (let number = 0; sent < 4 * queueBytes; number++) {
    channels.publish({ 'de-registrations': [`${number}`.padEnd(size, 'x')] });
    sent += size;
    // The door takes what waits, as it does between events.
    if (number % 100 === 99) await turn();
    if (number % 2000 === 1999) most.bytes = Math.max(most.bytes, (await held()) - before);
  }
  most.bytes = Math.max(most.bytes, (await held()) - before);
  const channel = channels.get('key', 'stalled');
  assert.ok(door.isConnected(channel ?? assert.fail('the channel is there')), 'the peer is still held');
  // The queue, one message of at most 1000 events that is on its way, and its text.
  const bound = queueBytes + 3 * 1000 * size;
  // By the queue itself: what other tests left behind may be freed meanwhile.
  assert.ok((channel?.length ?? 0) * size > queueBytes / 2, 'the peer reads');
  assert.ok(most.bytes < bound, `${most.bytes} bytes are held, of ${sent}; the bound is ${bound}`);
  peer.destroy();
  await door[Symbol.asyncDispose]();
  server.close();
});
