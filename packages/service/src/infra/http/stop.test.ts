// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import pg from 'pg';
import { eventually } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';

/** The text of an answer to a request on a kept connection. */
async function ask(service: TestService, agent: Agent, path: string): Promise<[number | undefined, string]> {
  const { http, apiKey } = service.service.file;
  const request = get(http + path, { agent, headers: { authorization: `Bearer ${apiKey}` } });
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  for await (const part of answer.setEncoding('utf8')) text += part as string;
  return [answer.statusCode, text];
}

test('a stop answers who asked, and waits for nobody else', { timeout: 120_000 }, async () => {
  await using service = await TestService.start();
  const { port } = new URL(service.service.file.http);
  const silent = connect(Number(port), '127.0.0.1');
  const half = connect(Number(port), '127.0.0.1');
  await Promise.all([once(silent, 'connect'), once(half, 'connect')]);
  half.write('GET /v3/health HTTP/1.1\r\nHost: ');
  const ends = [silent, half].map((socket) =>
    once(
      socket.on('error', () => {}),
      'close',
    ),
  );
  // Kept alive by a client that asks for nothing more, and one that waits for its answer.
  const agent = new Agent({ keepAlive: true });
  const waiting = new Agent({ keepAlive: true });
  assert.equal((await ask(service, agent, '/v3/health'))[0], 200);
  const database = new pg.Client(service.options.databaseUrl);
  await database.connect();
  await database.query('begin');
  await database.query('lock table devices');
  const answer = ask(service, waiting, '/v3/devices');
  await eventually(
    async () =>
      (await database.query("select from pg_locks where not granted and relation = 'devices'::regclass"))
        .rowCount === 1,
    'the request is under way',
  );
  const stopped = service.service[Symbol.asyncDispose]();
  await database.query('commit');
  await database.end();
  assert.equal((await answer)[0], 200);
  await stopped;
  agent.destroy();
  waiting.destroy();
  await Promise.all(ends);
});
