// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { Code } from '../codes.ts';
import { CoapError } from '../errors.ts';
import { encodeTcpFrame } from '../message/tcp-frame.ts';
import { uriPath } from '../message/option-values.ts';
import type { CoapPeer, Observer, RequestHandler } from '../peer.ts';
import { csmMessage } from '../tcp/signals.ts';
import {
  closing,
  coapError,
  content,
  eventually,
  get,
  hex,
  listen,
  pattern,
  put,
  text,
  untilAborted,
  within,
} from '../testing/support.ts';
import { type ConnectStreamOptions, connectStream } from './connect-stream.ts';

const echo: RequestHandler = (request) =>
  content(request.payload.length > 0 ? request.payload : `/${uriPath(request.options).join('/')}`);

interface Pair extends AsyncDisposable {
  client: CoapPeer;
  server: CoapPeer;
  clientSocket: net.Socket;
}

async function pair(
  server: ConnectStreamOptions = { handler: echo },
  client: ConnectStreamOptions = {},
): Promise<Pair> {
  let accepted: CoapPeer | undefined;
  const listener = net.createServer((socket) => {
    accepted = connectStream(socket, server);
  });
  const port = await listen(listener);
  const clientSocket = net.connect(port, '127.0.0.1');
  const peer = connectStream(clientSocket, client);
  const serverPeer = await eventually(() => accepted);
  return {
    client: peer,
    server: serverPeer,
    clientSocket,
    [Symbol.asyncDispose]: async () => {
      peer.close();
      serverPeer.close();
      await within(new Promise((resolve) => listener.close(resolve)));
    },
  };
}

test('a request before the connection is up is answered', async () => {
  const listener = net.createServer((socket) => connectStream(socket, { handler: echo }));
  const port = await listen(listener);
  const peer = connectStream(net.connect(port, '127.0.0.1'));
  const response = await within(peer.request(get('/a/b')));
  assert.equal(response.code, Code.CONTENT);
  assert.equal(text(response.payload), '/a/b');
  peer.close();
  listener.close();
});

test('both ends send requests and bodies of a megabyte go whole', async () => {
  await using both = await pair({ handler: echo }, { handler: () => content('from the client') });
  const body = pattern(1024 * 1024);
  const [up, down] = await within(
    Promise.all([both.client.request(put('/x', body)), both.server.request(get('/'))]),
  );
  assert.deepEqual(Buffer.from(up.payload), Buffer.from(body));
  assert.equal(text(down.payload), 'from the client');
});

test('a body over the limit of the server is refused with 4.13', async () => {
  await using both = await pair({ handler: echo, limits: { maxBodySize: 10_000 } });
  const response = await within(both.client.request(put('/x', pattern(100_000))));
  assert.equal(response.code, Code.REQUEST_ENTITY_TOO_LARGE);
  assert.equal((await within(both.client.request(put('/x', pattern(10_000))))).payload.length, 10_000);
});

test('a response over the limit of the client is refused there', async () => {
  await using both = await pair(
    { handler: () => content(pattern(50_000)) },
    { limits: { maxBodySize: 10_000 } },
  );
  await assert.rejects(within(both.client.request(get('/'))), coapError('coap/body-too-large'));
});

test('observers get every notification in order until they cancel', async () => {
  let observer: Observer | undefined;
  await using both = await pair({
    handler: (_request, { acceptObserve }) => {
      observer ??= acceptObserve?.();
      observer?.notify(content('too early'));
      return content('first');
    },
  });
  const seen: string[] = [];
  const observation = await within(
    both.client.observe(get('/t'), (response) => seen.push(text(response.payload))),
  );
  assert.equal(text(observation.first.payload), 'first');
  for (let i = 0; i < 100; i++) observer?.notify(content(`${i}`));
  await eventually(() => seen.length === 101);
  assert.deepEqual(seen, ['too early', ...Array.from({ length: 100 }, (_, i) => `${i}`)]);
  await within(observation.cancel());
  assert.equal(observer?.signal.aborted, true);
});

test('a ping is answered, and silence is a dead peer', async () => {
  await using both = await pair();
  await within(both.client.ping());
  // A peer that speaks once and then never answers.
  const mute = net.createServer((socket) => socket.write(encodeTcpFrame(csmMessage(1152))));
  const port = await listen(mute);
  const peer = connectStream(net.connect(port, '127.0.0.1'), {
    keepAlive: { intervalMs: 30, timeoutMs: 30 },
  });
  const reason = await untilAborted(peer.closed);
  assert.ok(reason instanceof CoapError && reason.code === 'coap/keep-alive');
  mute.close();
});

test('keep-alive leaves a living peer alone', async () => {
  await using both = await pair({ handler: echo }, { keepAlive: { intervalMs: 10, timeoutMs: 200 } });
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(both.client.closed.aborted, false);
});

test('closing one end fails what waits, ends observers and tells the other end', async () => {
  let observer: Observer | undefined;
  await using both = await pair({
    handler: (request, { acceptObserve }) => {
      if (acceptObserve === undefined && uriPath(request.options)[0] === 'slow') return new Promise(() => {});
      observer = acceptObserve?.();
      return content('x');
    },
  });
  await within(both.client.observe(get('/t'), () => {}));
  const waiting = both.client.request(get('/slow'));
  const failed = assert.rejects(within(waiting), coapError('coap/closed'));
  both.client.close();
  await failed;
  await assert.rejects(both.client.request(get('/')), coapError('coap/closed'));
  await untilAborted(both.server.closed);
  assert.equal(observer?.signal.aborted, true);
});

test('a connection that breaks is coap/connection-lost on the other end', async () => {
  await using both = await pair();
  await within(both.client.request(get('/')));
  both.clientSocket.resetAndDestroy();
  const reason = await untilAborted(both.server.closed);
  assert.ok(reason instanceof CoapError && reason.code === 'coap/connection-lost');
});

test('a refused connection is coap/connection-lost', async () => {
  const listener = net.createServer();
  const port = await listen(listener);
  await new Promise((resolve) => listener.close(resolve));
  const peer = connectStream(net.connect(port, '127.0.0.1'));
  await assert.rejects(within(peer.request(get('/'))), coapError('coap/connection-lost'));
});

test('any Duplex is a connection', async () => {
  const [one, other] = duplexPair();
  connectStream(other, { handler: echo });
  const peer = connectStream(one);
  assert.equal(text((await within(peer.request(get('/x')))).payload), '/x');
  peer.close();
});

test('a stream that ended before is a closed peer', async () => {
  const [one] = duplexPair();
  one.destroy();
  await within(once(one, 'close'));
  const peer = connectStream(one);
  await assert.rejects(within(peer.request(get('/'))), coapError('coap/connection-lost'));
});

test('a peer that never reads is given up before it fills the memory', async () => {
  let observer: Observer | undefined;
  const listener = net.createServer((socket) => {
    connectStream(socket, {
      limits: { maxSendBuffer: 1_000_000 },
      handler: (_request, { acceptObserve }) => {
        observer = acceptObserve?.();
        return content('');
      },
    });
  });
  await using _closing = closing(listener);
  const port = await listen(listener);
  const socket = net.connect(port, '127.0.0.1');
  // GET with Observe and a token, and from then on nothing is read.
  socket.write(Buffer.concat([encodeTcpFrame(csmMessage(1024 * 1024)), hex('11 01 07 60')]));
  const registered = await eventually(() => observer);
  for (let i = 0; i < 100 && !registered.signal.aborted; i++) {
    registered.notify(content(pattern(500_000)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { reason } = registered.signal;
  assert.ok(reason instanceof CoapError && reason.code === 'coap/congested');
  socket.destroy();
});

test('a request ends with its signal or its deadline', async () => {
  await using both = await pair({ handler: () => new Promise(() => {}) });
  const controller = new AbortController();
  const aborted = both.client.request(get('/'), { signal: controller.signal });
  const failed = assert.rejects(within(aborted), coapError('coap/aborted'));
  await new Promise((resolve) => setTimeout(resolve, 20));
  controller.abort();
  await failed;
  await assert.rejects(within(both.client.request(get('/'), { timeoutMs: 20 })), coapError('coap/timeout'));
});
