// SPDX-License-Identifier: Apache-2.0
//
// docs/reference/app-bus.md by two implementations of D-Bus that are not ours: GDBus and systemd's busctl.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { AppResource } from '@mbl/formats';
import { AppBusFixture, ownUid, sensor } from '../../testing/app-bus-fixture.ts';

const python = '/usr/bin/python3';
const without = (what: string, program: string, ...args: string[]) =>
  spawnSync(program, args).status !== 0 && `this machine has no ${what}`;
const run = promisify(execFile);
const deadline = 120_000;

const resources: readonly AppResource[] = [
  { path: '/3303/0/5700', type: 'float', operations: ['read'] },
  { path: '/3303/0/5605', type: 'none', operations: ['execute'] },
  { path: '/3303/0/5750', type: 'string', operations: ['read', 'write'] },
  ...Array.from(
    { length: 300 },
    (_, i) => ({ path: `/26300/0/${i}`, type: 'string', operations: ['read'] }) as const,
  ),
];

async function serving(): Promise<AppBusFixture> {
  const fixture = await AppBusFixture.start(new Map([[ownUid, { ...sensor, resources }]]));
  fixture.apps.registered(true);
  return fixture;
}

/** What the client says, by what it was about. */
async function gdbus(fixture: AppBusFixture, what: string): Promise<Map<string, string>> {
  const file = join(import.meta.dirname, '../../testing/clients/gio.py');
  const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: fixture.address };
  const { stdout } = await run(python, [file, what], { env, timeout: deadline });
  const lines = stdout.matchAll(/^([^"{[\n]*?) ((?:["{[\d]|\w+\.).*)$/gm);
  return new Map([...lines].map(([, about = '', said = '']) => [about, said]));
}

test('GDBus: registers, sets, gets, hears of a write and an execute, asks for facts of the device', {
  skip: without('python3-gi', python, '-c', 'import gi'),
}, async () => {
  await using fixture = await serving();
  let ended = false;
  const asking = gdbus(fixture, 'talk').finally(() => {
    ended = true;
  });
  // It hears from when it has registered on.
  const ask = async (method: number, path: string, payload: string) => {
    const options = path.split('/').map((part) => ({ number: 11, value: Buffer.from(part) }));
    await fixture.client.handler({ code: method, options, payload: Buffer.from(payload) }, {} as never);
  };
  while (!ended) {
    await ask(3, '3303/0/5750', 'Hall');
    await ask(2, '3303/0/5605', "0='now'");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const said = await asking;
  const read = (what: string): unknown => JSON.parse(said.get(what) ?? 'null');
  assert.deepEqual(read('register'), [{ '/3303/0/5750': 'gio' }]);
  assert.deepEqual([read('set'), read('get'), read('set an integer')], [[], [21.5], []]);
  assert.equal((read('all') as [Record<string, unknown>])[0]['/3303/0/5700'], 22);
  assert.deepEqual(read('state'), ['registered']);
  assert.deepEqual(read('network'), [[['eth0', 'ethernet', ['10.0.2.15', 'fe80::1']]]]);
  assert.deepEqual([read('defer'), read('no longer')], [[30], [0]]);
  assert.equal((read('device') as [Record<string, string>])[0]['EndpointName'], 'mbl-board-1');
  assert.ok(Math.abs((read('time') as [number])[0] - Date.now()) < 3_600_000);
  assert.deepEqual(
    [read('Written'), read('Executed')],
    [
      ['/3303/0/5750', 'Hall'],
      ['/3303/0/5605', "0='now'"],
    ],
  );
});

test('GDBus: what goes beyond a limit is an error by the name that the reference has', {
  skip: without('python3-gi', python, '-c', 'import gi'),
}, async () => {
  await using fixture = await serving();
  const said = await gdbus(fixture, 'limits');
  const [bus, ours] = ['org.freedesktop.DBus.Error.', 'com.mbl.Error.'];
  assert.deepEqual(Object.fromEntries(said), {
    unlisted: `${ours}NotListed`,
    'bad definition': `${ours}BadDefinition`,
    "device's own": `${ours}NotListed`,
    count: `${bus}LimitsExceeded`,
    many: '[{}]',
    'not registered': `${ours}NotRegistered`,
    'no value': `${ours}Unavailable`,
    type: `${ours}BadValue`,
    arguments: `${bus}InvalidArgs`,
    method: `${bus}UnknownMethod`,
    value: `${ours}BadValue`,
    values: '[]',
    size: `${bus}LimitsExceeded`,
    message: `${bus}InvalidArgs`,
    rate: `${ours}BadValue ${bus}LimitsExceeded`,
  });
});

test('busctl: calls, properties, what it is shown', {
  skip: without('busctl', 'busctl', '--version'),
}, async () => {
  await using fixture = await serving();
  const busctl = async (...words: readonly string[]): Promise<string> => {
    const args = [`--address=${fixture.address}`, '--json=short', ...words];
    return await run('busctl', args, { timeout: deadline }).then(
      ({ stdout }) => stdout.trim(),
      (error: { readonly stderr: string }) => error.stderr.trim(),
    );
  };
  const cloud = ['com.mbl.Cloud1', '/com/mbl/Cloud1', 'com.mbl.Cloud1'];
  const device = ['com.mbl.Device1', '/com/mbl/Device1', 'com.mbl.Device1'];
  const call = async (...words: readonly string[]) => await busctl('call', ...cloud, ...words);
  const definition = '{"3303":{"0":{"5700":{"value":7.5}}}}';
  // It writes numbers in more than one form.
  const read = (text: string): unknown => JSON.parse(text);
  assert.deepEqual(read(await call('Register', 's', definition)), {
    type: 'a{sv}',
    data: [{ '/3303/0/5700': { type: 'd', data: 7.5 } }],
  });
  assert.equal(await call('Set', 'sv', '/3303/0/5700', 'd', '23.5'), '');
  assert.deepEqual(read(await call('Get', 's', '/3303/0/5700')), {
    type: 'v',
    data: [{ type: 'd', data: 23.5 }],
  });
  assert.equal(await busctl('get-property', ...cloud, 'ConnectionState'), '{"type":"s","data":"registered"}');
  assert.equal(await busctl('get-property', ...device, 'EndpointName'), '{"type":"s","data":"mbl-board-1"}');
  assert.match(await busctl('call', ...device, 'GetTime'), /^\{"type":"xb","data":\[\d+,false\]\}$/);
  const { stdout } = await run('busctl', [`--address=${fixture.address}`, 'introspect', ...cloud]);
  for (const member of ['.Register', '.SetAll', '.ConnectionState', '.Written'])
    assert.ok(stdout.includes(member), `${member}: ${stdout}`);
  assert.match(await call('Get', 's', '/3303/0/5750'), /\/3303\/0\/5750 is not registered/);
});
