// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { AppBusFixture, type AppConnection, ownUid, sensor } from '../../testing/app-bus-fixture.ts';
import { eventually } from '../../testing/support.ts';
import { introspect } from './interfaces.ts';
import { encodeMessage, messageType } from './message.ts';

const run = promisify(execFile);
const deadline = 60_000;

async function serving(): Promise<AppBusFixture> {
  return await AppBusFixture.start(new Map([[ownUid, sensor]]));
}

/** The name of the error that a call is answered with. */
async function errorOf(call: PromiseLike<unknown>): Promise<string> {
  return await call.then(
    () => 'no error',
    (error: Error & { readonly dbusName?: string }) => error.dbusName ?? error.message,
  );
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + deadline;
  while (!(await holds())) {
    assert.ok(performance.now() < end, 'it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('an app registers, sets and gets; Debian’s dbus-send does too', async () => {
  await using fixture = await serving();
  await using app = fixture.connect();
  const definition = { 3303: { 0: { 5700: { value: 20.5, units: 'Cel' } } }, 26241: { 0: { 1: {} } } };
  assert.deepEqual(await app.call('Register', 's', JSON.stringify(definition)), { '/3303/0/5700': 20.5 });
  await app.call('Set', 'sv', '/3303/0/5700', ['d', 21]);
  await app.call('SetAll', 'a{sv}', [
    ['/3303/0/5700', ['i', 22]],
    ['/26241/0/1', ['s', 'grün']],
  ]);
  assert.equal(await app.call('Get', 's', '/3303/0/5700'), 22);
  assert.deepEqual(await app.call('GetAll'), { '/3303/0/5700': 22, '/26241/0/1': 'grün' });
  const { stdout } = await run('dbus-send', [
    `--bus=${fixture.address}`,
    '--print-reply',
    '--dest=com.mbl.Cloud1',
    '/com/mbl/Cloud1',
    'com.mbl.Cloud1.Get',
    'string:/26241/0/1',
  ]);
  assert.match(stdout, /variant\s+string "grün"/);
  await app.call('Unregister', 'as', ['/26241/0/1']);
  assert.equal(await errorOf(app.call('Get', 's', '/26241/0/1')), 'com.mbl.Error.NotRegistered');
  assert.equal(await errorOf(app.call('Register', 's', '{"3":{"0":{"0":{}}}}')), 'com.mbl.Error.NotListed');
  assert.equal(await errorOf(app.call('Set', 'sv', '/3303/0/5700', ['s', 'hot'])), 'com.mbl.Error.BadValue');
});

test('facts of the device, its clock, its network; a restart that waits', async () => {
  await using fixture = await serving();
  await using app = fixture.connect();
  assert.equal(await app.property('Device1', 'EndpointName'), 'mbl-board-1');
  assert.equal(await app.property('Device1', 'KernelVersion'), '6.12.117');
  const all = app.bus.invoke<Record<string, string>>({
    destination: 'com.mbl.Device1',
    path: '/com/mbl/Device1',
    interface: 'org.freedesktop.DBus.Properties',
    member: 'GetAll',
    signature: 's',
    body: ['com.mbl.Device1'],
  });
  assert.equal(Object.keys(await all).length, 7);
  const [milliseconds, synchronized] = (await app.call('GetTime')) as [bigint, boolean];
  assert.ok(Math.abs(Number(milliseconds) - Date.now()) < 3_600_000);
  assert.equal(synchronized, false);
  fixture.synchronizeClock();
  assert.equal(((await app.call('GetTime')) as [bigint, boolean])[1], true);
  assert.deepEqual(await app.call('GetNetwork'), [['eth0', 'ethernet', ['10.0.2.15', 'fe80::1']]]);
  fixture.longestDeferral = 100;
  assert.equal(await app.call('DeferRestart', 'us', 300, 'the tank is half full'), 100);
  assert.deepEqual(fixture.deferrals.current(), { app: 'sensor', reason: 'the tank is half full' });
  assert.equal(await app.call('DeferRestart', 'us', 0, ''), 0);
  assert.equal(fixture.deferrals.current(), undefined);
});

test('signals come to the app that owns the resource, and to nobody else; the state of the connection to all', async () => {
  await using fixture = await serving();
  await using app = fixture.connect();
  await using other = fixture.connect();
  for (const one of [app, other]) await one.bus.addMatch("type='signal'");
  await app.call('Register', 's', '');
  await other.call('GetAll');
  fixture.apps.registered(true);
  const changed = ['PropertiesChanged', 'com.mbl.Cloud1', { ConnectionState: 'registered' }, []];
  for (const one of [app, other]) {
    await eventually(() => one.signals.length === 1, deadline);
    assert.deepEqual(one.signals, [changed]);
  }
  assert.equal(await app.property('Cloud1', 'ConnectionState'), 'registered');
  for (const ask of serverAsks(fixture)) await ask();
  await eventually(() => app.signals.length === 3, deadline);
  assert.deepEqual(app.signals.slice(1), [
    ['Written', '/26241/0/1', 'faster'],
    ['Executed', '/3303/0/5605', "0='now'"],
  ]);
  // Whatever else was on its way to it is there before this answer.
  await other.call('GetAll');
  assert.equal(other.signals.length, 1);
});

/** What a server writes and executes, without the network between. */
function serverAsks({ client }: AppBusFixture): (() => Promise<void>)[] {
  const ask = (method: number, path: string, payload: string) => async () => {
    const options = path.split('/').map((part) => ({ number: 11, value: Buffer.from(part) }));
    const request = { code: method, options, payload: Buffer.from(payload) };
    const answer = await client.handler(request, {} as never);
    assert.equal(answer.code >> 5, 2, `${path}: ${answer.code}`);
  };
  return [ask(3, '26241/0/1', 'faster'), ask(2, '3303/0/5605', "0='now'")];
}

test('what is not there, not allowed or not well formed is refused by its name', async () => {
  await using fixture = await serving();
  await using app = fixture.connect();
  const bad = 'org.freedesktop.DBus.Error.';
  const invoke = (change: object) =>
    errorOf(
      app.bus.invoke({
        destination: 'com.mbl.Cloud1',
        path: '/com/mbl/Cloud1',
        interface: 'com.mbl.Cloud1',
        member: 'GetAll',
        ...change,
      }),
    );
  const properties = { interface: `${bad.slice(0, -7)}.Properties`, member: 'Set', signature: 'ssv' };
  assert.equal(await invoke({ member: 'Reboot' }), `${bad}UnknownMethod`);
  assert.equal(await invoke({ member: 'constructor' }), `${bad}UnknownMethod`);
  assert.equal(await invoke({ path: '/com/mbl' }), `${bad}UnknownObject`);
  assert.equal(await invoke({ interface: 'com.mbl.Platform1' }), `${bad}UnknownInterface`);
  assert.equal(await invoke({ signature: 's', body: ['x'] }), `${bad}InvalidArgs`);
  assert.equal(await invoke({ member: 'Set', signature: 'ss', body: ['/1', '2'] }), `${bad}InvalidArgs`);
  const value = ['com.mbl.Cloud1', 'ConnectionState', ['s', 'registered']];
  assert.equal(await invoke({ ...properties, body: value }), `${bad}PropertyReadOnly`);
  assert.equal(
    await invoke({ ...properties, body: ['com.mbl.Cloud1', '__proto__', ['s', '']] }),
    `${bad}UnknownProperty`,
  );
  // The bus: no names, no calls of others, nothing is started.
  const own = app.bus.ownName('com.example.App', 4);
  assert.equal(await errorOf(own), `${bad}AccessDenied`);
  await using other = fixture.connect();
  await other.call('GetAll');
  assert.equal(await invoke({ destination: other.bus.name }), `${bad}AccessDenied`);
  // The app's own manifest has to name whom it calls.
  fixture.callers = new Map([[ownUid, { ...sensor, talk: ['com.mbl.Device1'] }]]);
  await until(async () => (await invoke({})) === `${bad}AccessDenied`);
  assert.equal(await errorOf(app.property('Device1', 'Machine')), 'no error');
});

test('bytes that are no message, or a wrong one, hurt nobody', async () => {
  await using fixture = await serving();
  await using app = fixture.connect();
  await app.call('Register', 's', '');
  const socket = connect(fixture.socket);
  socket.on('error', () => undefined);
  socket.resume();
  socket.write(`\0AUTH EXTERNAL ${Buffer.from(String(ownUid)).toString('hex')}\r\nBEGIN\r\n`);
  const bus = {
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
  };
  socket.write(encodeMessage(1, { type: messageType.call, ...bus, member: 'Hello' }));
  const call = (signature: string, body: readonly unknown[]) =>
    encodeMessage(2, {
      type: messageType.call,
      destination: 'com.mbl.Cloud1',
      path: '/com/mbl/Cloud1',
      interface: 'com.mbl.Cloud1',
      member: 'Register',
      signature,
      body,
    });
  // Too long for the service, within what the bus lets pass.
  socket.write(call('s', [' '.repeat(140_000)]));
  socket.write(call('a(ssas)', [[['a', 'b', ['c']]]]));
  await app.call('Set', 'sv', '/3303/0/5700', ['d', 1]);
  assert.equal(await app.call('Get', 's', '/3303/0/5700'), 1);
  assert.deepEqual(fixture.kept.lines, ['apps can talk apps=1']);
  socket.destroy();
});

test('who calls too often is refused, whatever connection it uses', async () => {
  const fixture = new AppBusFixture({ callsAtOnce: 50, callsPerSecond: 1 });
  await using _ = await fixture.start(new Map([[ownUid, sensor]]));
  await using app = fixture.connect();
  await using other = fixture.connect();
  await app.call('Register', 's', '');
  const results: string[] = [];
  for (let i = 0; i < 200; i++) results.push(await errorOf(app.call('Set', 'sv', '/3303/0/5700', ['d', i])));
  const refused = results.filter((one) => one === 'org.freedesktop.DBus.Error.LimitsExceeded').length;
  assert.ok(refused > 100, `${refused} were refused`);
  assert.equal(results.filter((one) => one === 'no error').length + refused, 200);
  assert.match(await errorOf(other.call('Set', 'sv', '/3303/0/5700', ['d', 1])), /LimitsExceeded$|no error/);
  assert.equal(
    fixture.kept.lines.filter((line) => line.startsWith('app calls too often app=sensor')).length,
    1,
  );
  // It comes back with time.
  await until(async () => (await errorOf(app.call('GetAll'))) === 'no error');
});

test('a long call counts as many short ones: reading it takes as long', async () => {
  const fixture = new AppBusFixture({ callsAtOnce: 50, callsPerSecond: 0.001 });
  await using _ = await fixture.start(new Map([[ownUid, sensor]]));
  await using app = fixture.connect();
  const results: string[] = [];
  const long = `{"3303":[${'[],'.repeat(20_000)}[]]}`;
  for (let i = 0; i < 10; i++) results.push(await errorOf(app.call('Register', 's', long)));
  assert.equal(results.filter((one) => one === 'org.freedesktop.DBus.Error.LimitsExceeded').length, 7);
});

test('a bus that ends is used again when it is back; no app, no connection', async () => {
  await using fixture = await serving();
  {
    await using app = fixture.connect();
    await app.call('Register', 's', '{"3303":{"0":{"5700":{"value":7}}}}');
    await fixture.stopBus();
  }
  await fixture.kept.until(/^bus of the apps lost/, 1, deadline);
  await fixture.startBus();
  await fixture.kept.until(/^apps can talk/, 2, deadline);
  await using app = fixture.connect();
  // Values outlive the connection.
  assert.equal(await app.call('Get', 's', '/3303/0/5700'), 7);
  fixture.callers = new Map();
  const nobody = 'org.freedesktop.DBus.Error.ServiceUnknown';
  await until(async () => (await errorOf(app.call('GetAll'))) === nobody);
});

test('another user is another app', { skip: ownUid !== 0 && 'needs root' }, async () => {
  const nobody = 65_534;
  await using fixture = await AppBusFixture.start(new Map([[ownUid, sensor]]));
  await using app = fixture.connect();
  await app.call('Register', 's', '{"3303":{"0":{"5700":{"value":7}}}}');
  const send = async (member: string, ...args: string[]): Promise<string> => {
    const to = ['--print-reply', '--dest=com.mbl.Cloud1', '/com/mbl/Cloud1', `com.mbl.Cloud1.${member}`];
    const all = [`--bus=${fixture.address}`, ...to, ...args];
    return await run('dbus-send', all, { uid: nobody, gid: nobody }).then(
      ({ stdout }) => stdout,
      (error: { readonly stderr: string }) => error.stderr,
    );
  };
  assert.match(await send('GetAll'), /AccessDenied: this is no app that may talk/);
  fixture.callers = new Map([
    [ownUid, sensor],
    [nobody, { ...sensor, app: 'other' }],
  ]);
  await until(async () => (await send('GetAll')).includes('method return'));
  assert.match(await send('Get', 'string:/3303/0/5700'), /NotRegistered/);
  assert.match(await send('Register', 'string:'), /com\.mbl\.Error\.Taken: another app has/);
});

test('what is introspected is what the objects are', async () => {
  await using fixture = await serving();
  await using app = fixture.connect();
  const xml = async (path: string) =>
    await app.bus.invoke<string>({
      destination: 'com.mbl.Cloud1',
      path,
      interface: 'org.freedesktop.DBus.Introspectable',
      member: 'Introspect',
    });
  assert.equal(await xml('/com/mbl/Cloud1'), introspect('/com/mbl/Cloud1'));
  assert.match(await xml('/'), /<node>\n {2}<node name="com"\/>\n<\/node>/);
  assert.match(await xml('/com/mbl'), /<node name="Cloud1"\/>\n {2}<node name="Device1"\/>/);
  await methodsOf(app);
});

/** As a program with proxies sees it: dbus-native makes its methods of the XML. */
async function methodsOf(app: AppConnection): Promise<void> {
  const object = await app.bus.getService('com.mbl.Cloud1').getInterface('/com/mbl/Cloud1', 'com.mbl.Cloud1');
  assert.deepEqual(Object.keys(object.$methods).toSorted(), [
    'Get',
    'GetAll',
    'Register',
    'Set',
    'SetAll',
    'Unregister',
  ]);
}
