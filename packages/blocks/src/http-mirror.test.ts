// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { HttpMirror, transfer } from './index.ts';
import { MemorySource } from './testing/devices.ts';
import { serveFiles } from './testing/file-server.ts';
import { Random, targetOf } from './testing/random.ts';
import { images, publish, type Scene, scene } from './testing/scene.ts';

const random = new Random(5);
const olds = images(random, 300);
const target = targetOf(olds.next);
const published = await publish(target, [new MemorySource('root_a', olds.running)]);

type Handler = (request: IncomingMessage, response: ServerResponse, serve: () => void) => void;
let server: Server;
let url = '';
let handler: Handler;
let connections = 0;
let requests: string[] = [];

const serve = serveFiles(published.files);

before(async () => {
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    handler(request, response, () => serve(request, response));
  });
  server.on('connection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/releases`;
});
beforeEach(() => {
  handler = (_, __, answer) => answer();
  connections = 0;
  requests = [];
});
after(() => {
  server.closeAllConnections();
  server.close();
});

function over(mirror: HttpMirror): Scene {
  const timing = {
    sleep: async (): Promise<void> => await new Promise((done) => setTimeout(done, 60_000).unref()),
    rounds: 1,
  };
  return scene(target, published, olds, { options: { mirrors: [mirror], timing } });
}

test('a transfer from a server of static files: one connection, ranges only', async () => {
  await using mirror = new HttpMirror({ url });
  const it = over(mirror);
  const report = await transfer(it.options);
  assert.ok(it.disk.bytes.subarray(0, target.whole.length).equals(target.whole));
  assert.equal(requests.length, report.requests);
  assert.equal(connections, 1);
  const size = published.files.get('payload')?.length ?? 0;
  assert.ok(report.spent < size, `${report.spent} of ${size}`);
});

test('an answer that is not the range is refused, and says why', async () => {
  const cases: [Handler, RegExp][] = [
    [(_, response) => response.writeHead(200).end(Buffer.alloc(1e6)), /sends no ranges/],
    [(_, response) => response.writeHead(416).end(), /has another payload/],
    [(_, response) => response.writeHead(404).end(), /answered 404 for payload/],
    [(_, response) => response.writeHead(302, { location: url }).end(), /answered 302/],
    [
      (_, response) => response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end('0123456789'),
      /another range/,
    ],
    [(_, response) => response.writeHead(206).end('0123456789'), /another range/],
    [
      (_, response, answer) => {
        response.setHeader('content-encoding', 'gzip');
        answer();
      },
      /compresses payload/,
    ],
    [(_, response) => response.writeHead(503).end(), /answered 503/],
    [(request) => request.socket.destroy(), /cannot be reached/],
  ];
  for (const [wrong, message] of cases) {
    handler = wrong;
    await using mirror = new HttpMirror({ url });
    await assert.rejects(transfer(over(mirror).options), { code: 'blocks/no-mirror', message });
  }
  await using nobody = new HttpMirror({ url: 'http://127.0.0.1:1/' });
  await assert.rejects(transfer(over(nobody).options), {
    code: 'blocks/no-mirror',
    message: /cannot be reached/,
  });
});

test('a connection that breaks within an answer is gone on with where it broke', async () => {
  const starts: number[] = [];
  handler = (request, response, answer) => {
    const start = Number(/=(\d+)/.exec(request.headers.range ?? '')?.[1]);
    starts.push(start);
    // Every second answer is cut after 3000 bytes.
    if (starts.length % 2 === 0) return answer();
    Object.assign(response, {
      end: (bytes: Buffer) => {
        response.write(bytes.subarray(0, 3000), () => request.socket.destroy());
      },
    });
    answer();
  };
  await using mirror = new HttpMirror({ url });
  const it = over(mirror);
  const timing = {
    ...it.options.timing,
    sleep: async (ms: number): Promise<void> =>
      await new Promise((done) => setTimeout(done, ms > 1000 ? 60_000 : 1).unref()),
    rounds: 5,
  };
  await transfer({ ...it.options, timing });
  assert.ok(it.disk.bytes.subarray(0, target.whole.length).equals(target.whole));
  assert.ok(
    starts.some((start, n) => n > 0 && start === (starts[n - 1] ?? 0) + 3000),
    starts.join(' '),
  );
});

test('an abort ends the connection', async () => {
  const controller = new AbortController();
  const closed = Promise.withResolvers<void>();
  handler = (request) => {
    request.socket.once('close', closed.resolve);
    controller.abort(new Error('the owner said so'));
  };
  await using mirror = new HttpMirror({ url });
  await assert.rejects(transfer({ ...over(mirror).options, signal: controller.signal }), /the owner said so/);
  await closed.promise;
});
