// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { connectStream } from '../bindings/connect-stream.ts';
import { Code } from '../codes.ts';
import type { CoapMessage } from '../message/message.ts';
import { encodeTcpFrame, TcpFrameSplitter } from '../message/tcp-frame.ts';
import type { CoapPeer } from '../peer.ts';
import { csmMessage } from '../tcp/signals.ts';
import {
  type Certificates,
  freePortPair,
  makeCertificates,
  type Running,
  start,
} from '../testing/processes.ts';
import {
  closing,
  content,
  eventually,
  get,
  hex,
  listen,
  text,
  untilAborted,
  within,
} from '../testing/support.ts';

/** The openssl command as TLS peer: its standard input and output are the stream. */

let certificates: Certificates;

before(async () => {
  certificates = await makeCertificates();
});

after(() => certificates[Symbol.asyncDispose]());

function messages(running: Running): CoapMessage[] {
  const splitter = new TcpFrameSplitter({ maxMessageSize: 10_000_000, maxOptions: 64 });
  splitter.push(running.stdout());
  const found: CoapMessage[] = [];
  for (let next = splitter.next(); next !== undefined; next = splitter.next()) found.push(next);
  return found;
}

for (const version of ['-tls1_2', '-tls1_3']) {
  test(`openssl s_client ${version} against this server`, async () => {
    let peer: CoapPeer | undefined;
    const server = tls.createServer(
      {
        cert: await readFile(certificates.path('server.pem')),
        key: await readFile(certificates.path('server.key')),
        ca: await readFile(certificates.path('ca.pem')),
        requestCert: true,
        ALPNProtocols: ['coap'],
      },
      (socket) => {
        assert.equal(socket.alpnProtocol, 'coap');
        peer = connectStream(socket, { handler: () => content('over TLS') });
      },
    );
    await using _closing = closing(server);
    const port = await listen(server);
    const { path } = certificates;
    const identity = ['-cert', path('client.pem'), '-key', path('client.key'), '-CAfile', path('ca.pem')];
    const args = ['s_client', '-quiet', '-verify_return_error', version, '-alpn', 'coap', ...identity];
    await using client = start('openssl', [...args, '-connect', `127.0.0.1:${port}`]);
    // GET /x with token 7a, which waits for the CSM, then a ping with token 7b.
    client.process.stdin.write(hex('21 01 7a b1 78'));
    await eventually(() => messages(client).length >= 1);
    client.process.stdin.write(encodeTcpFrame(csmMessage(1152)));
    client.process.stdin.write(hex('01 e2 7b'));
    const answers = await eventually(() => messages(client).length >= 3 && messages(client));
    assert.equal(answers[0]?.code, Code.CSM);
    const response = answers.find(({ code }) => code === Code.CONTENT);
    assert.deepEqual(response?.token, hex('7a'));
    assert.equal(text(response.payload), 'over TLS');
    assert.deepEqual(answers.find(({ code }) => code === Code.PONG)?.token, hex('7b'));
    client.process.kill();
    await untilAborted((await eventually(() => peer)).closed);
  });

  test(`this client against openssl s_server ${version}`, async () => {
    const port = await freePortPair();
    const { path } = certificates;
    const identity = ['-cert', path('server.pem'), '-key', path('server.key'), '-CAfile', path('ca.pem')];
    const args = ['s_server', '-quiet', '-Verify', '1', '-verify_return_error', version, ...identity];
    await using server = start('openssl', [...args, '-accept', `127.0.0.1:${port}`]);
    const [ca, cert, key] = await Promise.all(
      ['ca.pem', 'client.pem', 'client.key'].map((name) => readFile(path(name))),
    );
    const socket = await connected(() =>
      tls.connect({ host: '127.0.0.1', port, ca, cert, key } as tls.ConnectionOptions),
    );
    const peer = connectStream(socket);
    const request = peer.request(get('/x'), { timeoutMs: 8000 });
    await eventually(() => messages(server)[0]?.code === Code.CSM);
    server.process.stdin.write(encodeTcpFrame(csmMessage(1152)));
    const asked = await eventually(() => messages(server).find(({ code }) => code === Code.GET));
    server.process.stdin.write(encodeTcpFrame({ ...asked, ...content('from openssl') }));
    assert.equal(text((await within(request)).payload), 'from openssl');
    peer.close();
  });
}

/** The server needs a moment until it listens. */
async function connected(connect: () => tls.TLSSocket): Promise<tls.TLSSocket> {
  for (let attempt = 0; ; attempt++) {
    const socket = connect();
    const error = await within(
      new Promise<Error | undefined>((resolve) => {
        socket.once('secureConnect', () => resolve(undefined));
        socket.once('error', resolve);
      }),
    );
    if (error === undefined) return socket;
    if (attempt === 50) throw error;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
