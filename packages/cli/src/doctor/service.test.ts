// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { askHealth } from './service.ts';

/** What the doctor finds when the service answers so; without an answer nobody listens. */
async function ask(answer?: { readonly status: number; readonly body: unknown }) {
  const paths: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url);
    response.writeHead(answer?.status ?? 200, { 'content-type': 'application/json', connection: 'close' });
    response.end(JSON.stringify(answer?.body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  if (answer === undefined) server.close();
  const found = await askHealth({ http: `http://127.0.0.1:${port}` }, new AbortController().signal);
  server.close();
  return { found, paths };
}

test('the doctor says that the database of the service is away, since when, and what to type', async () => {
  const body = { object: 'health', status: 'database-away', away_since: '2026-11-30T12:00:00.000Z' };
  const { found, paths } = await ask({ status: 503, body });
  assert.deepEqual(paths, ['/v3/health']);
  assert.equal(found.state, 'bad');
  assert.match(found.found, /database has been away since 2026-11-30T12:00:00.000Z/);
  assert.match(found.remedy ?? '', /\.\/mbl logs service/);
});

test('the doctor calls a service well that says so, and no other', async () => {
  const { found } = await ask({ status: 200, body: { object: 'health', status: 'ok' } });
  assert.equal(found.state, 'good');
  assert.equal(found.remedy, undefined);
  for (const answer of [
    { status: 500, body: { object: 'error' } },
    { status: 200, body: undefined },
    undefined,
  ]) {
    const { found: other } = await ask(answer);
    assert.equal(other.state, 'bad');
    assert.match(other.remedy ?? '', /\.\/mbl logs service/);
  }
});
