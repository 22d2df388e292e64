// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { bindDatagram, type DatagramBinding } from '../bindings/bind-datagram.ts';
import { connectStream } from '../bindings/connect-stream.ts';
import { Code } from '../codes.ts';
import { uriPath } from '../message/option-values.ts';
import type { Observer, RequestHandler } from '../peer.ts';
import { type Certificates, type Finished, makeCertificates, run } from '../testing/processes.ts';
import { closing, content, eventually, listen, pattern, text, within } from '../testing/support.ts';

/** This package's server, libcoap's client. */

/** libcoap's GnuTLS build cannot send a message larger than a TLS record: its bodies are smaller. */
const sizes: Record<string, number> = { 'TLS by GnuTLS': 10_000 };
const body = pattern(60_000);
/** What was stored, and who observes, by the last segment of the path: one for each test that runs. */
const stored = new Map<string, Uint8Array>();
const observers = new Map<string, Observer>();

const handler: RequestHandler = (request, { acceptObserve }) => {
  const [path, name = ''] = uriPath(request.options);
  if (path === 'hello') return content('hello');
  if (path === 'large' && request.code === Code.PUT) {
    stored.set(name, request.payload.slice());
    return { ...content(''), code: Code.CHANGED };
  }
  if (path === 'large') return content(stored.get(name) ?? '');
  if (path === 'slow') return new Promise((resolve) => setTimeout(() => resolve(content('slow')), 400));
  if (path === 'ticks') {
    if (acceptObserve !== undefined) {
      const observer = acceptObserve();
      observers.set(name, observer);
      let count = 0;
      const timer = setInterval(() => observer.notify(content(`tick ${++count}\n`)), 100);
      observer.signal.addEventListener('abort', () => clearInterval(timer));
    }
    return content('tick 0\n');
  }
  if (path === 'large-ticks') {
    const observer = acceptObserve?.();
    if (observer !== undefined) setTimeout(() => observer.end(content(body.toReversed())), 100);
    return content(body);
  }
  return { ...content(''), code: Code.NOT_FOUND };
};

let certificates: Certificates;
let udp: DatagramBinding;
let tcpServer: net.Server;
let tlsServer: tls.Server;
const port = { udp: 0, tcp: 0, tls: 0 };

before(async () => {
  certificates = await makeCertificates();
  const socket = dgram.createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await within(once(socket, 'listening'));
  udp = bindDatagram(socket, { handler });
  tcpServer = net.createServer((accepted) => connectStream(accepted, { handler }));
  tlsServer = tls.createServer(
    {
      cert: await readFile(certificates.path('server.pem')),
      key: await readFile(certificates.path('server.key')),
      ca: await readFile(certificates.path('ca.pem')),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (accepted) => connectStream(accepted, { handler }),
  );
  port.udp = socket.address().port;
  port.tcp = await listen(tcpServer);
  port.tls = await listen(tlsServer);
});

after(async () => {
  await udp[Symbol.asyncDispose]();
  tcpServer.close();
  tlsServer.close();
  await certificates[Symbol.asyncDispose]();
});

const transports: Record<string, (path: string) => { program: string; args: string[]; uri: string }> = {
  UDP: (path) => ({
    program: 'coap-client-notls',
    args: [],
    uri: `coap://127.0.0.1:${port.udp}/${path}`,
  }),
  TCP: (path) => ({
    program: 'coap-client-notls',
    args: [],
    uri: `coap+tcp://127.0.0.1:${port.tcp}/${path}`,
  }),
  'TLS by OpenSSL': (path) => withCertificate('coap-client-openssl', path),
  'TLS by GnuTLS': (path) => withCertificate('coap-client-gnutls', path),
};

function withCertificate(program: string, path: string): { program: string; args: string[]; uri: string } {
  const { path: file } = certificates;
  const args = ['-C', file('ca.pem'), '-c', file('client.pem'), '-j', file('client.key')];
  return { program, args, uri: `coaps+tcp://127.0.0.1:${port.tls}/${path}` };
}

describe('the server with', { concurrency: true }, () => {
  for (const [index, [name, target]] of Object.entries(transports).entries()) {
    describe(name, () => {
      /** Runs libcoap's client; its exit status says nothing, its output does. */
      const coapClient = (path: string, ...options: string[]): Promise<Finished> => {
        const { program, args, uri } = target(path);
        return run(program, ['-B', '5', '-v', '4', ...args, ...options, uri]);
      };

      test(`GET`, async () => {
        const { stdout } = await coapClient('hello');
        assert.equal(stdout.toString().trim(), 'hello');
      });

      test(`an error response`, async () => {
        const { stderr, stdout } = await coapClient('nothing');
        assert.match(stderr + stdout.toString(), /4\.04/);
      });

      for (const blockOptions of [[], ['-b', '64'], ['-X', '1152'], ['-X', '5000']]) {
        test(`PUT and GET of a large body ${blockOptions.join(' ')}`, async () => {
          const sent = body.subarray(0, sizes[name]);
          stored.delete(`${index}`);
          const file = certificates.path(`body ${name}${blockOptions.join('')}`);
          const result = `${file} result`;
          await writeFile(file, sent);
          await coapClient(`large/${index}`, '-m', 'put', '-f', file, ...blockOptions);
          assert.deepEqual(Buffer.from(stored.get(`${index}`) ?? []), Buffer.from(sent));
          await coapClient(`large/${index}`, '-o', result, ...blockOptions);
          assert.deepEqual(await readFile(result), Buffer.from(sent));
        });
      }

      test(`observe, then cancel`, async () => {
        const { stdout } = await coapClient(`ticks/${index}`, '-s', '1');
        assert.match(stdout.toString(), /^tick 0\ntick 1\ntick 2\ntick 3\n/);
        await eventually(() => observers.get(`${index}`)?.signal.aborted);
      });

      test(`a response after the Acknowledgement`, async () => {
        const { stdout } = await coapClient('slow');
        assert.equal(stdout.toString().trim(), 'slow');
      });
    });
  }
});

test('TCP: PUT in blocks to a server that takes small messages', async () => {
  const server = net.createServer((accepted) => connectStream(accepted, { handler, maxMessageSize: 5000 }));
  await using _closing = closing(server);
  const uri = `coap+tcp://127.0.0.1:${await listen(server)}/large/bert`;
  const file = certificates.path('bert');
  await writeFile(file, body);
  await run('coap-client-notls', ['-B', '5', '-m', 'put', '-f', file, uri]);
  assert.deepEqual(Buffer.from(stored.get('bert') ?? []), Buffer.from(body));
});

test('UDP: a non-confirmable GET', async () => {
  const { stdout } = await run('coap-client-notls', ['-B', '5', '-N', `coap://127.0.0.1:${port.udp}/hello`]);
  assert.equal(stdout.toString().trim(), 'hello');
});

test('UDP: a notification in blocks', async () => {
  const result = certificates.path('notified');
  const uri = `coap://127.0.0.1:${port.udp}/large-ticks`;
  await run('coap-client-notls', ['-B', '5', '-s', '1', '-o', result, uri]);
  const both = Buffer.concat([body, body.toReversed()]);
  assert.deepEqual(await readFile(result), both);
});

test('TLS: a client without a certificate of this CA is refused', async () => {
  const uri = `coaps+tcp://127.0.0.1:${port.tls}/hello`;
  const { stdout } = await run('coap-client-openssl', ['-B', '3', '-C', certificates.path('ca.pem'), uri]);
  assert.doesNotMatch(text(stdout), /hello/);
  assert.match(text(stdout), /alert/);
});
