// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { bindDatagram, type DatagramBinding } from '../bindings/bind-datagram.ts';
import { connectStream } from '../bindings/connect-stream.ts';
import { Code, formatCode } from '../codes.ts';
import { blockOption } from '../message/block.ts';
import { contentFormat, stringOption, uintValue, uriQueryOptions } from '../message/option-values.ts';
import { ContentFormat, OptionNumber } from '../message/option-registry.ts';
import type { CoapPeer, CoapResponse } from '../peer.ts';
import {
  type Certificates,
  freePortPair,
  makeCertificates,
  type Running,
  start,
} from '../testing/processes.ts';
import { eventually, get, pattern, put, text, utf8, within } from '../testing/support.ts';

/** This package's client, libcoap's server. */

/** libcoap's GnuTLS build cannot send a message larger than a TLS record: its bodies are smaller. */
const sizes: Record<string, number> = { 'TLS by GnuTLS': 10_000 };
const body = pattern(60_000);
let certificates: Certificates;
let udp: DatagramBinding;
const servers = new Map<string, { port: number; running: Running }>();

async function startServer(name: string): Promise<void> {
  const [backend = '', ...more] = name.split(' ');
  const port = await freePortPair();
  const { path } = certificates;
  const tlsArgs = ['-c', path('server.pem'), '-j', path('server.key'), '-C', path('ca.pem')];
  const args = ['-A', '127.0.0.1', '-p', `${port}`, '-d', '20', ...(backend === 'notls' ? more : tlsArgs)];
  const running = start(`coap-server-${backend}`, args);
  servers.set(name, { port, running });
  // Asked until it listens: a fresh server answers its first ping.
  const probe = udp.peer('127.0.0.1', port);
  await within(probe.ping({ timeoutMs: 8000 }), 9000, `the start of coap-server-${backend}`);
}

before(async () => {
  certificates = await makeCertificates();
  udp = bindDatagram(dgram.createSocket('udp4'), { transmission: { ackTimeoutMs: 200, maxRetransmit: 5 } });
  await Promise.all(['notls', 'notls -v 3', 'notls -X 5000', 'openssl', 'gnutls'].map(startServer));
});

after(async () => {
  await udp[Symbol.asyncDispose]();
  for (const { running } of servers.values()) await running[Symbol.asyncDispose]();
  await certificates[Symbol.asyncDispose]();
});

function portOf(backend: string): number {
  return servers.get(backend)?.port ?? 0;
}

async function overTls(backend: string): Promise<CoapPeer> {
  const { path } = certificates;
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'client.pem', 'client.key'].map((n) => readFile(path(n))),
  );
  const options = { ca, cert, key, ALPNProtocols: ['coap'], host: '127.0.0.1', port: portOf(backend) + 1 };
  return connectStream(tls.connect(options as tls.ConnectionOptions));
}

const transports: Record<string, () => CoapPeer | Promise<CoapPeer>> = {
  UDP: () => udp.peer('127.0.0.1', portOf('notls -v 3')),
  TCP: () => connectStream(net.connect(portOf('notls'), '127.0.0.1')),
  'TCP with small messages': () => connectStream(net.connect(portOf('notls -X 5000'), '127.0.0.1')),
  'TLS by OpenSSL': () => overTls('openssl'),
  'TLS by GnuTLS': () => overTls('gnutls'),
};

describe('the client with', { concurrency: true }, () => {
  for (const [name, open] of Object.entries(transports)) {
    describe(name, { concurrency: 1 }, () => {
      const withPeer = async (act: (peer: CoapPeer) => Promise<void>): Promise<void> => {
        const peer = await open();
        try {
          await within(act(peer), 9000);
        } finally {
          peer.close();
        }
      };

      test(`GET, ping, discovery`, () =>
        withPeer(async (peer) => {
          const response = await peer.request(get('/'));
          assert.equal(response.code, Code.CONTENT);
          assert.match(text(response.payload), /libcoap/);
          await peer.ping();
          const core = await peer.request(get('/.well-known/core'));
          assert.equal(contentFormat(core.options), ContentFormat.LINK);
          assert.match(text(core.payload), /<\/time>/);
        }));

      test(`an error response`, () =>
        withPeer(async (peer) => {
          assert.equal((await peer.request(get('/nothing-here'))).code, Code.NOT_FOUND);
        }));

      test(`PUT and GET of a large body`, () =>
        withPeer(async (peer) => {
          const sent = body.subarray(0, sizes[name]);
          const stored = await peer.request(put('/example_data', sent));
          assert.ok(stored.code === Code.CHANGED || stored.code === Code.CREATED, formatCode(stored.code));
          const whole = await peer.request(get('/example_data'));
          assert.deepEqual(Buffer.from(whole.payload), Buffer.from(sent));
          const block = blockOption(OptionNumber.BLOCK2, { number: 0, more: false, sizeExponent: 3 });
          const small = await peer.request(get('/example_data', [block]));
          assert.deepEqual(Buffer.from(small.payload), Buffer.from(sent));
        }));

      test(`a created resource is read and deleted`, () =>
        withPeer(async (peer) => {
          const path = `/made-by-${name.toLowerCase().replaceAll(' ', '-')}`;
          const type = stringOption(OptionNumber.CONTENT_FORMAT, '');
          assert.equal((await peer.request(put(path, utf8('made'), [type]))).code, Code.CREATED);
          assert.equal(text((await peer.request(get(path))).payload), 'made');
          assert.equal((await peer.request({ ...get(path), code: Code.DELETE })).code, Code.DELETED);
          assert.equal((await peer.request(get(path))).code, Code.NOT_FOUND);
        }));

      test(`observe and cancel`, () =>
        withPeer(async (peer) => {
          const seen: CoapResponse[] = [];
          const observation = await peer.observe(get('/time'), (response) => seen.push(response));
          assert.notEqual(uintValue(observation.first.options, OptionNumber.OBSERVE), undefined);
          await eventually(() => seen.length >= 2);
          assert.match(text(seen[0]?.payload ?? utf8('')), /\d\d:\d\d:\d\d/);
          await observation.cancel();
          const count = seen.length;
          await new Promise((resolve) => setTimeout(resolve, 1100));
          assert.equal(seen.length, count);
        }));

      test(`a separate response`, () =>
        withPeer(async (peer) => {
          const response = await peer.request(get('/async', uriQueryOptions(['1'])));
          assert.equal(text(response.payload), 'done');
        }));
    });
  }
});

test('the end of an observation whose answer is larger than a message fetches all of it', async () => {
  const socket = net.connect(portOf('notls'), '127.0.0.1');
  const peer = connectStream(socket, { maxMessageSize: 5000 });
  try {
    await within(peer.request(put('/example_data', body)), 9000);
    const observation = await within(
      peer.observe(get('/example_data'), () => {}),
      9000,
    );
    assert.deepEqual(Buffer.from(observation.first.payload), Buffer.from(body));
    const before = socket.bytesRead;
    await within(observation.cancel(), 9000);
    assert.ok(socket.bytesRead - before > body.length, `${socket.bytesRead - before} bytes`);
    assert.equal((await within(peer.request(get('/')), 9000)).code, Code.CONTENT);
  } finally {
    peer.close();
  }
});

test('TLS: a server whose certificate is of another CA is not spoken to', async () => {
  await using other = await makeCertificates();
  const ca = await readFile(other.path('ca.pem'));
  const peer = connectStream(tls.connect({ ca, host: '127.0.0.1', port: portOf('openssl') + 1 }));
  await assert.rejects(within(peer.request(get('/'))), /self.signed|unable to verify|broke/i);
});
