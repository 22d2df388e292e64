// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '../codes.ts';
import { uriPath } from '../message/option-values.ts';
import { encodeUdpMessage, MessageType } from '../message/udp-message.ts';
import type { CoapPeer, RequestHandler } from '../peer.ts';
import { CLIENT, SERVER, simulatedPair } from '../testing/simulated-pair.ts';
import { coapError, content, get, hex, pattern, put, text, utf8 } from '../testing/support.ts';

const echo: RequestHandler = (request) =>
  content(request.payload.length > 0 ? request.payload : `/${uriPath(request.options).join('/')}`);

test('a response rides on the Acknowledgement', async () => {
  const { clock, peer, log } = simulatedPair({ handler: echo });
  const response = await clock.until(peer.request(get('/temperature')));
  assert.equal(text(response.payload), '/temperature');
  assert.deepEqual(log(), ['> CON [1] 0.01 /temperature', '< ACK [1] 2.05']);
});

test('a slow response comes separately and is acknowledged', async () => {
  const simulated = simulatedPair({
    handler: () => new Promise((resolve) => simulated.clock.schedule(5000, () => resolve(content('late')))),
  });
  const { clock, peer, log } = simulated;
  assert.equal(text((await clock.until(peer.request(get('/slow')))).payload), 'late');
  await clock.advance(100);
  assert.deepEqual(log(), ['> CON [1] 0.01 /slow', '< ACK [1]', '< CON [2] 2.05', '> ACK [2]']);
});

test('a lost request is repeated with doubling timeouts, then given up', async () => {
  const { clock, peer, network } = simulatedPair({ handler: echo }, {}, { loss: 1 });
  await assert.rejects(clock.until(peer.request(get('/'))), coapError('coap/timeout'));
  const gaps = network.trace.slice(1).map(({ atMs }, i) => atMs - (network.trace[i]?.atMs ?? 0));
  assert.equal(network.trace.length, 5);
  assert.ok((gaps[0] ?? 0) >= 2000 && (gaps[0] ?? 0) <= 3000, `first after ${gaps[0]}`);
  for (let i = 1; i < gaps.length; i++) assert.ok(Math.abs((gaps[i] ?? 0) - 2 * (gaps[i - 1] ?? 0)) < 0.01);
});

test('a lost Acknowledgement makes the server repeat its answer, not its work', async () => {
  let handled = 0;
  const { clock, peer, network, log } = simulatedPair({ handler: () => content(`${++handled}`) });
  let dropped = false;
  network.drops = ({ from }) => from.address === SERVER.address && !dropped && (dropped = true);
  assert.equal(text((await clock.until(peer.request(put('/n', utf8('x'))))).payload), '1');
  assert.equal(handled, 1);
  assert.deepEqual(log(), [
    '> CON [1] 0.03 /n',
    '< ACK [1] 2.05 lost',
    '> CON [1] 0.03 /n',
    '< ACK [1] 2.05',
  ]);
});

test('a separate response stands for the Acknowledgement that got lost', async () => {
  const simulated = simulatedPair({
    handler: () => new Promise((resolve) => simulated.clock.schedule(1000, () => resolve(content('late')))),
  });
  const { clock, peer, network, log } = simulated;
  network.drops = (traced) => traced.from.address === SERVER.address && network.trace.length === 2;
  assert.equal(text((await clock.until(peer.request(get('/slow')))).payload), 'late');
  await clock.advance(300_000);
  assert.deepEqual(log(), ['> CON [1] 0.01 /slow', '< ACK [1] lost', '< CON [2] 2.05', '> ACK [2]']);
});

test('only NSTART messages wait for an Acknowledgement at a time', async () => {
  const { clock, peer, log } = simulatedPair({ handler: echo });
  await clock.until(Promise.all([peer.request(get('/a')), peer.request(get('/b')), peer.request(get('/c'))]));
  assert.deepEqual(log(), [
    '> CON [1] 0.01 /a',
    '< ACK [1] 2.05',
    '> CON [2] 0.01 /b',
    '< ACK [2] 2.05',
    '> CON [3] 0.01 /c',
    '< ACK [3] 2.05',
  ]);
});

test('a ping is answered with Reset', async () => {
  const { clock, peer, log } = simulatedPair({});
  await clock.until(peer.ping());
  assert.deepEqual(log(), ['> CON [1]', '< RST [1]']);
});

test('a ping to nobody fails', async () => {
  const { clock, client } = simulatedPair({});
  const nobody = client.peer({ address: '192.0.2.9', port: 1 });
  await assert.rejects(clock.until(nobody.ping()), coapError('coap/timeout'));
});

test('an aborted request is not repeated', async () => {
  const { clock, peer, network } = simulatedPair({ handler: echo }, {}, { loss: 1 });
  const controller = new AbortController();
  const request = peer.request(get('/'), { signal: controller.signal });
  const failed = assert.rejects(request, coapError('coap/aborted'));
  await clock.advance(100);
  controller.abort();
  await failed;
  await clock.advance(100_000);
  assert.equal(network.trace.length, 1);
  assert.equal(clock.pending, 0);
});

test('an empty Acknowledgement of five bytes is taken as one of four', async () => {
  const { clock, network, server } = simulatedPair({});
  const received: Uint8Array[] = [];
  const transport = network.attach(CLIENT, (datagram) => {
    received.push(datagram);
    if (datagram[0] === 0x44) transport.send(hex(`60 00 ${messageId(datagram)} c0`), SERVER);
  });
  const request = server.peer(CLIENT).request(get('/x'), { timeoutMs: 60_000 });
  await assert.rejects(clock.until(request), coapError('coap/timeout'));
  assert.equal(received.length, 1, 'it was not retransmitted');
});

function messageId(datagram: Uint8Array): string {
  return Buffer.from(datagram.subarray(2, 4)).toString('hex');
}

/** Sends raw datagrams to the server and gives what comes back, as hex. */
async function exchangeRaw(datagrams: Uint8Array[], handler: RequestHandler = echo): Promise<string[]> {
  const { clock, network } = simulatedPair({ handler });
  const received: string[] = [];
  const transport = network.attach(CLIENT, (datagram) =>
    received.push(Buffer.from(datagram).toString('hex')),
  );
  for (const datagram of datagrams) {
    transport.send(datagram, SERVER);
    await clock.advance(300_000);
  }
  return received;
}

test('malformed confirmable messages are rejected, others ignored', async () => {
  // A reserved token length; a payload marker without payload; reserved code classes 1 and 7.
  assert.deepEqual(await exchangeRaw([hex('49 01 1234')]), ['70001234']);
  assert.deepEqual(await exchangeRaw([hex('40 01 1235 ff')]), ['70001235']);
  assert.deepEqual(await exchangeRaw([hex('40 20 1236')]), ['70001236']);
  assert.deepEqual(await exchangeRaw([hex('40 e1 1237')]), ['70001237']);
  assert.deepEqual(await exchangeRaw([hex('50 01 1238 ff'), hex('80 01 1239'), hex('40 01'), hex('')]), []);
  // A response that nobody asked for.
  assert.deepEqual(await exchangeRaw([hex('41 45 1240 01')]), ['70001240']);
});

test('an unknown critical option is answered 4.02, in a non-confirmable request ignored', async () => {
  // Option 9, then option 10 which is elective.
  const [answer] = await exchangeRaw([hex('41 01 0001 aa 90')]);
  assert.match(answer ?? '', /^61820001aa/);
  assert.deepEqual(await exchangeRaw([hex('51 01 0001 aa 90')]), []);
  assert.match((await exchangeRaw([hex('41 01 0001 aa a0')]))[0] ?? '', /^61450001aa/);
  // Uri-Port twice, Observe too long: critical, elective.
  assert.match((await exchangeRaw([hex('41 01 0001 aa 71 50 01 51')]))[0] ?? '', /^61820001aa/);
  assert.match((await exchangeRaw([hex('41 01 0001 aa 64 01020304')]))[0] ?? '', /^61450001aa/);
  // Proxy-Uri (35): 5.05.
  assert.match((await exchangeRaw([hex('41 01 0001 aa d1 16 78')]))[0] ?? '', /^61a50001aa/);
});

test('a non-confirmable request has a non-confirmable response', async () => {
  const [answer] = await exchangeRaw([hex('51 01 0001 aa')]);
  assert.match(answer ?? '', /^5145....aa/);
});

test('the same message id with another token is another request', async () => {
  let handled = 0;
  const handler: RequestHandler = () => content(`${++handled}`);
  const { clock, network } = simulatedPair({ handler });
  const transport = network.attach(CLIENT, () => {});
  for (const token of ['aa', 'aa', 'bb']) transport.send(hex(`41 01 0001 ${token}`), SERVER);
  await clock.advance(1000);
  assert.equal(handled, 2);
  await clock.advance(248_000);
  transport.send(hex('41 01 0001 bb'), SERVER);
  await clock.advance(1000);
  assert.equal(handled, 3, 'after EXCHANGE_LIFETIME the id is free');
});

test('idle peers give their place, those that were asked for keep it', async () => {
  const seen: CoapPeer[] = [];
  const handler: RequestHandler = (_request, { peer }) => {
    seen.push(peer);
    return content('');
  };
  const { clock, network, server } = simulatedPair({ handler, limits: { maxPeers: 3 } });
  const kept = server.peer({ address: '198.51.100.1', port: 1 });
  const from = (host: number): void => {
    const transport = network.attach({ address: `198.51.100.${host}`, port: 1 }, () => {});
    const type = MessageType.CON;
    const message = {
      type,
      messageId: host,
      code: Code.GET,
      token: hex('01'),
      options: [],
      payload: utf8(''),
    };
    transport.send(encodeUdpMessage(message), SERVER);
  };
  for (let host = 2; host < 200; host++) {
    from(host);
    await clock.advance(1000);
  }
  assert.equal(kept.closed.aborted, false);
  assert.equal(seen.length, 198);
  assert.equal(seen.filter(({ closed }) => !closed.aborted).length, 2);
});

test('closing the endpoint fails what waits and leaves no timer', async () => {
  const { clock, client, server, peer } = simulatedPair({ handler: () => new Promise(() => {}) });
  const failed = assert.rejects(peer.request(put('/x', pattern(5000))), coapError('coap/closed'));
  await clock.advance(1000);
  client.close();
  server.close();
  await failed;
  await clock.advance(1000);
  assert.equal(clock.pending, 0);
});

test('closing stops separate responses and pings under way', async () => {
  const simulated = simulatedPair({
    handler: () => new Promise((resolve) => simulated.clock.schedule(500, () => resolve(content('late')))),
  });
  const { clock, client, server, peer, network } = simulated;
  const failed = assert.rejects(peer.request(get('/')), coapError('coap/closed'));
  const ping = assert.rejects(
    server.peer({ address: '192.0.2.9', port: 1 }).ping(),
    coapError('coap/closed'),
  );
  await clock.advance(400);
  network.faults.loss = 1;
  await clock.advance(1000);
  client.close();
  server.close();
  await Promise.all([failed, ping]);
  const sent = network.trace.length;
  await clock.advance(100_000);
  assert.equal(network.trace.length, sent);
  assert.equal(clock.pending, 0);
});
