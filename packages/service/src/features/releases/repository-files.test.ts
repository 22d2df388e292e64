// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { repositoryServer } from './repository-files.ts';

async function serving(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'mbl-repository-'));
  for (const name of ['metadata', 'targets/os', 'staged']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'metadata/timestamp.json'), '{}');
  writeFileSync(join(folder, 'targets/os/ab.root.img'), '0123456789');
  writeFileSync(join(folder, 'staged/os.json'), 'waits');
  writeFileSync(join(folder, 'secret'), 'secret');
  writeFileSync(join(folder, 'targets/.hidden'), 'secret');
  const serve = repositoryServer(folder);
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/releases/`;
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(url + path, init);
    return { status: response.status, body: await response.text(), headers: response.headers };
  };
  return { get, port };
}

test('metadata and targets, whole and in ranges', async (t) => {
  const { get } = await serving(t);
  assert.equal((await get('metadata/timestamp.json')).body, '{}');
  const whole = await get('targets/os/ab.root.img');
  assert.equal(whole.body, '0123456789');
  assert.equal(whole.headers.get('accept-ranges'), 'bytes');
  const part = await get('targets/os/ab.root.img', { headers: { range: 'bytes=2-4' } });
  assert.deepEqual([part.status, part.body], [206, '234']);
  assert.equal(part.headers.get('content-range'), 'bytes 2-4/10');
  assert.equal((await get('targets/os/ab.root.img', { headers: { range: 'bytes=10-' } })).status, 416);
  assert.equal((await get('targets/os/ab.root.img', { method: 'HEAD' })).headers.get('content-length'), '10');
});

test('nothing else: what waits for signatures, what is beside the repository, other methods', async (t) => {
  const { get, port } = await serving(t);
  for (const path of [
    '',
    'secret',
    'staged/os.json',
    'metadata',
    'metadata/',
    'targets/os',
    'targets/.hidden',
    'metadata/none',
  ])
    assert.ok([404, 403, 301].includes((await get(path, { redirect: 'manual' })).status), path);
  assert.equal((await get('metadata/timestamp.json', { method: 'POST', body: 'x' })).status, 405);
  for (const path of [
    '/releases/metadata/../secret',
    '/releases/metadata/../staged/os.json',
    '/releases/metadata/%2e%2e/secret',
    '/releases/metadata/%2e%2e%2fsecret',
    '/releases/metadata/%00',
    '/releases/metadata/..%5csecret',
  ]) {
    // Not by fetch, which would tidy the path.
    const socket = connect(port, '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    let said = '';
    for await (const piece of socket) said += String(piece);
    assert.match(said, /^HTTP\/1.1 4\d\d /, path);
    assert.doesNotMatch(said, /\r\n\r\n[^]*secret$/, path);
  }
});
