// SPDX-License-Identifier: Apache-2.0
//
// The examples in Python against the service, by Debian's python3-dbus, as they are in their containers.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AppResource } from '@mbl/formats';
import { AppBusFixture, ownUid, sensor } from '../../testing/app-bus-fixture.ts';

const python = '/usr/bin/python3';
const missing =
  spawnSync(python, ['-c', 'import dbus, gi']).status !== 0 &&
  'this machine has no python3-dbus and python3-gi';
const deadline = 60_000;
const read = (path: string): AppResource => ({ path, type: 'float', operations: ['read'] });

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + deadline;
  while (!(await holds())) {
    assert.ok(performance.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A program that runs until it is told to end, which it does by itself. */
async function runs(
  program: string,
  resources: readonly AppResource[],
  use: (app: {
    said(line: RegExp): Promise<void>;
    /** A server's request: GET 1, POST 2, PUT 3. Returns the payload of the answer. */
    ask(method: number, path: string, payload?: string): Promise<string>;
  }) => Promise<void>,
): Promise<void> {
  await using fixture = await AppBusFixture.start(new Map([[ownUid, { ...sensor, resources }]]));
  const file = join(import.meta.dirname, '../../../../../examples', program);
  const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: fixture.address, PYTHONDONTWRITEBYTECODE: '1' };
  const child = spawn(python, [file], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let text = '';
  child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
  try {
    await use({
      async said(line) {
        await until(`${program} said ${text}`, async () => line.test(text));
        text = '';
      },
      async ask(method, path, payload = '') {
        const options = path.split('/').map((part) => ({ number: 11, value: Buffer.from(part) }));
        const request = { code: method, options, payload: Buffer.from(payload) };
        const answer = await fixture.client.handler(request, {} as never);
        assert.equal(answer.code >> 5, 2, `${path}: ${answer.code}`);
        return Buffer.from(answer.payload).toString();
      },
    });
    assert.doesNotMatch(text, /not told/);
    child.kill('SIGTERM');
    assert.equal(await ended, 0);
  } finally {
    child.kill('SIGKILL');
  }
}

test('the thermometer: values, a write, an execute', {
  skip: missing,
}, async () => {
  const resources: AppResource[] = [
    ...['5700', '5601', '5602'].map((id) => read(`/3303/0/${id}`)),
    { path: '/3303/0/5605', type: 'none', operations: ['execute'] },
    { path: '/3303/0/5750', type: 'string', operations: ['read', 'write'] },
  ];
  await runs('python-dbus/app/thermometer.py', resources, async ({ said, ask }) => {
    await said(/^registered as somewhere$/m);
    await ask(3, '3303/0/5750', 'Hall');
    await said(/^written \/3303\/0\/5750 Hall$/m);
    await ask(2, '3303/0/5605', "0='now'");
    await said(/^executed \/3303\/0\/5605 0='now'$/m);
    for (const id of ['5700', '5601', '5602']) assert.ok(Number(await ask(1, `3303/0/${id}`)) >= 20, id);
  });
});

test('the thermostat: a room tells, a heater is told', { skip: missing }, async () => {
  await runs('thermostat/app/room.py', [read('/3303/0/5700')], async ({ ask }) => {
    const value = async () => Number(await ask(1, '3303/0/5700').catch(() => ''));
    await until('a value', async () => (await value()) >= 20);
  });
  const resources: AppResource[] = [
    { path: '/3308/0/5900', type: 'float', operations: ['read', 'write'] },
    { path: '/3306/0/5850', type: 'boolean', operations: ['read'] },
  ];
  await runs('thermostat/app/heater.py', resources, async ({ said, ask }) => {
    await said(/^wanted 18\.0$/m);
    await ask(3, '3308/0/5900', '23.5');
    await said(/^wanted 23\.5$/m);
    await until('it heats', async () => (await ask(1, '3306/0/5850')) === '1');
  });
});
