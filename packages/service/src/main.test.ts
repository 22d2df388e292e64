// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { readServiceFile } from '@mbl/formats';
import { eventually } from './testing/device.ts';

const main = join(import.meta.dirname, 'main.ts');
const scratch = await mkdtemp(join(tmpdir(), 'mbl-main-'));
await chmod(scratch, 0o711);
const directory = join(scratch, 'service');
const running = new Set<ChildProcess>();
after(async () => {
  // What a failed test left behind; its cluster goes when its directory does.
  for (const child of running) child.kill('SIGTERM');
  await Promise.all([...running].map((child) => once(child, 'close')));
  await rm(scratch, { recursive: true, force: true });
});

function start(...more: string[]) {
  const child = spawn(process.execPath, [main, '--directory', directory, ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

const ready = (child: ChildProcess) =>
  eventually(
    async () => {
      assert.equal(child.exitCode, null, 'it runs');
      const file = await readServiceFile(directory).catch(() => undefined);
      return file?.pid === child.pid ? file : undefined;
    },
    'service.json',
    60_000,
  );

async function end(
  child: ChildProcess,
  signal?: NodeJS.Signals,
): Promise<{ code: number | null; error: string }> {
  let error = '';
  child.stderr?.on('data', (text: Buffer) => {
    error += text.toString();
  });
  child.stdout?.resume();
  if (signal !== undefined) child.kill(signal);
  await once(child, 'close', { signal: AbortSignal.timeout(60_000) });
  return { code: child.exitCode, error };
}

const postmaster = async () =>
  Number((await readFile(join(directory, 'postgres', 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);

test('the daemon starts, refuses a twin, survives kill -9 of itself and of its database, stops cleanly', async () => {
  const first = start();
  first.stdout?.resume();
  const { apiKey, http, ports } = await ready(first);
  const twin = await end(start());
  assert.equal(twin.code, 1);
  assert.match(twin.error, /^Another service is running/);
  const devices = await fetch(`${http}/v3/devices`, { headers: { authorization: `Bearer ${apiKey}` } });
  assert.equal(devices.status, 200, 'the twin did not harm it');

  assert.equal((await end(first, 'SIGKILL')).code, null);
  const second = start('--http-port', String(ports.http));
  second.stdout?.resume();
  const again = await ready(second);
  assert.equal(again.apiKey, apiKey);
  assert.equal(again.ports.http, ports.http);

  const killed = await postmaster();
  process.kill(killed, 'SIGKILL');
  await eventually(async () => {
    const answer = await fetch(`${http}/v3/devices`, { headers: { authorization: `Bearer ${apiKey}` } });
    return answer.status === 200 && (await postmaster()) !== killed;
  }, 'its database runs again');
  assert.equal((await end(second, 'SIGTERM')).code, 0);

  const third = start();
  third.stdout?.resume();
  await ready(third);
  assert.equal((await end(third, 'SIGTERM')).code, 0);
  assert.equal(await readServiceFile(directory), undefined);
  await assert.rejects(postmaster(), { code: 'ENOENT' });
});

test('a port in use and wrong arguments are said in a sentence, with exit code 1', async () => {
  const run = promisify(execFile);
  const taken = createServer();
  taken.listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const refused = await end(start('--lwm2m-port', String(port)));
  taken.close();
  assert.equal(refused.code, 1);
  assert.match(refused.error, new RegExp(`^The LwM2M port is in use: 127.0.0.1:${port}\nSee who has it`));
  await assert.rejects(postmaster(), { code: 'ENOENT' }, 'nothing is left running');
  for (const wrong of [
    ['--http-port', 'x'],
    ['--colour'],
    ['--device-ca', '/nowhere'],
    ['--database-url', 'postgres://127.0.0.1:9/none'],
  ]) {
    const { code, error } = await end(start(...wrong));
    assert.equal(code, 1);
    assert.match(error, /^[^\n]+\n[^\n]+\n$/);
  }
  assert.match((await run(process.execPath, [main, '--help'])).stdout, /--directory/);
});
