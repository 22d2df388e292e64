// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { uriPath } from '../message/option-values.ts';
import type { Observer } from '../peer.ts';
import {
  coapError,
  content,
  eventually,
  get,
  pattern,
  put,
  text,
  untilAborted,
  within,
} from '../testing/support.ts';
import { type BindDatagramOptions, bindDatagram, type DatagramBinding } from './bind-datagram.ts';

async function bound(
  options: BindDatagramOptions,
  family: 'udp4' | 'udp6' = 'udp4',
): Promise<{ binding: DatagramBinding; port: number }> {
  const socket = dgram.createSocket(family);
  socket.bind(0, family === 'udp4' ? '127.0.0.1' : '::1');
  await within(once(socket, 'listening'));
  return { binding: bindDatagram(socket, options), port: socket.address().port };
}

test('two sockets: requests both ways, a body in blocks, observe, ping', async () => {
  let observer: Observer | undefined;
  const server = await bound({
    handler: async (request, { peer, acceptObserve }) => {
      observer = acceptObserve?.() ?? observer;
      if (request.payload.length > 0) return content(request.payload);
      if (uriPath(request.options)[0] === 'back') return peer.request(get('/client'));
      return content('server');
    },
  });
  await using _server = server.binding;
  await using client = bindDatagram(dgram.createSocket('udp4'), { handler: () => content('client') });
  const peer = client.peer('127.0.0.1', server.port);
  await within(peer.ping());
  assert.equal(text((await within(peer.request(get('/')))).payload), 'server');
  assert.equal(text((await within(peer.request(get('/back')))).payload), 'client');
  const echoed = await within(peer.request(put('/x', pattern(100_000))));
  assert.deepEqual(Buffer.from(echoed.payload), Buffer.from(pattern(100_000)));
  const seen: string[] = [];
  await within(peer.observe(get('/t'), ({ payload }) => seen.push(text(payload))));
  observer?.notify(content('news'));
  await eventually(() => seen.length === 1);
});

test('IPv6, however the address is written', async () => {
  const server = await bound({ handler: () => content('six') }, 'udp6');
  await using _server = server.binding;
  await using client = bindDatagram(dgram.createSocket('udp6'));
  const peer = client.peer('0:0:0:0:0:0:0:0001', server.port);
  assert.equal(peer, client.peer('::1', server.port));
  assert.equal(text((await within(peer.request(get('/')))).payload), 'six');
});

test('a host name or a port out of range is refused', async () => {
  await using binding = bindDatagram(dgram.createSocket('udp4'));
  assert.throws(() => binding.peer('localhost', 5683), coapError('coap/bad-argument'));
  assert.throws(() => binding.peer('127.0.0.1', 0), coapError('coap/bad-argument'));
});

test('disposing closes the peers and the socket', async () => {
  const { binding } = await bound({});
  const peer = binding.peer('127.0.0.1', 9);
  const waiting = assert.rejects(within(peer.request(get('/'))), coapError('coap/closed'));
  await binding[Symbol.asyncDispose]();
  await waiting;
  await untilAborted(peer.closed);
  await binding[Symbol.asyncDispose]();
});
