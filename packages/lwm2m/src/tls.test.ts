// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import type { CoapPeer } from '@mbl/coap';
import { connectStream } from '@mbl/coap';
import { Lwm2mClient } from './client/client.ts';
import type { ClientState } from './client/options.ts';
import { serverObject } from './client/server-object.ts';
import { Lwm2mError } from './errors.ts';
import { Lwm2mServer } from './server/server.ts';
import type { TestCertificates } from './testing/certificates.ts';
import { testCertificates } from './testing/certificates.ts';
import { component, testDevice } from './testing/objects.ts';
import { eventually } from './testing/wait.ts';

interface Edge extends AsyncDisposable {
  server: Lwm2mServer<string>;
  events: string[];
  port: number;
  peers: CoapPeer[];
}

/** An LwM2M server behind TLS with mutual authentication; the identity is the certificate's common name. */
async function listen(certificates: TestCertificates): Promise<Edge> {
  const events: string[] = [];
  const peers: CoapPeer[] = [];
  const server = new Lwm2mServer<string>({
    authorize: ({ endpoint }, identity) => {
      if (endpoint !== identity) throw new Lwm2mError('test/foreign', 'that is not your name');
    },
    location: ({ endpoint }) => `rd/${endpoint}`,
    onRegister: ({ endpoint }) => void events.push(`register ${endpoint}`),
    onUpdate: ({ endpoint }) => void events.push(`update ${endpoint}`),
    onDeregister: ({ endpoint }, reason) => void events.push(`${reason} ${endpoint}`),
  });
  const { key, cert } = certificates.server;
  const options = { key, cert, ca: certificates.ca, requestCert: true, ALPNProtocols: ['coap'] };
  const listener = tls.createServer(options, (socket) => {
    const { CN } = socket.getPeerCertificate().subject;
    peers.push(connectStream(socket, { handler: server.handler(String(CN)) }));
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    server,
    events,
    peers,
    port: (listener.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server[Symbol.dispose]();
      for (const peer of peers) peer.close();
      listener.close();
      await once(listener, 'close');
    },
  };
}

test('register, read, write, execute, observe and reconnect over TLS with both sides authenticated', async () => {
  await using certificates = await testCertificates();
  await using edge = await listen(certificates);
  const states: ClientState[] = [];
  const device = testDevice();
  await using client = new Lwm2mClient({
    endpointName: 'board-1',
    objects: [
      serverObject({ lifetime: 600 }),
      device.instance,
      // Long enough that registration, discovery and a whole read need more than one message of 1152 bytes.
      ...Array.from({ length: 200 }, (_, id) => component(id, `component-${id}`, '1.0')),
    ],
    onState: (state) => states.push(state),
  });
  const connect = async (): Promise<CoapPeer> => {
    const { key, cert } = certificates.client;
    const socket = tls.connect({
      host: '127.0.0.1',
      port: edge.port,
      key,
      cert,
      ca: certificates.ca,
      ALPNProtocols: ['coap'],
    });
    const peer = connectStream(socket, { handler: client.handler });
    await client.attach(peer, { timeoutMs: 5000 });
    return peer;
  };
  const peer = await connect();
  const board = edge.server.registration('board-1');
  assert.ok(board !== undefined);
  assert.equal(board.paths.length, 204);

  assert.equal((await board.read('/3/0/0'))[0]?.value, 'ARM');
  assert.equal((await board.read('/14')).length, 600);
  assert.equal((await board.discover('/14')).length, 801);
  await board.write('/3/0/14', '+05:30');
  assert.equal(device.values.get(14), '+05:30');
  await board.execute('/3/0/4', '0');
  assert.equal(device.executed.length, 1);

  const levels: unknown[] = [];
  const observation = await board.observe('/3/0/9', (notification) =>
    levels.push(notification.nodes()[0]?.value),
  );
  for (const level of [79, 78]) {
    device.values.set(9, level);
    device.instance.changed(9);
    await eventually(() => levels.at(-1) === level, `a notification of ${level}`);
  }
  await observation.cancel();

  await board.execute('/1/0/8');
  await eventually(() => edge.events.at(-1) === 'update board-1', 'an update');

  edge.peers[0]?.close();
  await eventually(() => states.at(-1)?.state === 'lost', 'the loss of the connection');
  assert.ok(peer.closed.aborted);
  const again = await connect();
  await client.deregister();
  again.close();
  assert.deepEqual(edge.events.slice(2), ['replaced board-1', 'register board-1', 'deregistered board-1']);
});

test("libcoap's client registers, updates and deregisters over TLS", async (t) => {
  const coapClient = '/usr/bin/coap-client-openssl';
  await using certificates = await testCertificates();
  await using edge = await listen(certificates);
  const { key, cert } = certificates.client.files;
  const send = async (method: string, path: string, ...more: string[]): Promise<string> => {
    const uri = `coaps+tcp://127.0.0.1:${edge.port}/${path}`;
    const tlsOptions = ['-c', cert, '-j', key, '-R', certificates.caFile];
    const options = ['-B', '5', '-v', '6', '-m', method, ...tlsOptions, ...more, uri];
    const { stdout, stderr } = await promisify(execFile)(coapClient, options, {
      timeout: 10_000,
      signal: t.signal,
    });
    return stdout + stderr;
  };
  const links = '</3/0>;obs,</14/0/2>;v="1.0"';
  await send('post', 'rd?ep=board-1&lwm2m=1.1&lt=60&b=T', '-t', '40', '-e', links);
  const board = edge.server.registration('board-1');
  assert.equal(board?.lifetime, 60);
  assert.equal(board?.objects[1]?.attributes.get('v'), '1.0');
  await send('post', 'rd/board-1?lt=90');
  assert.equal(board?.lifetime, 90);
  assert.match(
    await send('post', 'rd?ep=board-2&lwm2m=1.1', '-t', '40', '-e', links),
    /4\.03.*that is not your name/s,
  );
  await send('delete', 'rd/board-1');
  assert.deepEqual(edge.events, ['register board-1', 'update board-1', 'deregistered board-1']);
});
