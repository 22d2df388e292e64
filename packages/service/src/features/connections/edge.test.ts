// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer as createTcpServer, connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Code, encodeTcpFrame } from '@mbl/coap';
import pg from 'pg';
import {
  basic,
  enrol,
  est,
  eventually,
  newKey,
  requestBody,
  TestDevice,
  type TestIdentity,
} from '../../testing/device.ts';
import { directoryView } from '../../testing/directory-view.ts';
import { timerOf } from '../../testing/kernel-timer.ts';
import { renewIdentity } from '../../testing/renewal.ts';
import { TestService } from '../../testing/service.ts';

const run = promisify(execFile);

describe('the LwM2M edge', () => {
  let service: TestService;
  before(async () => {
    service = await TestService.start({ keepAlive: { intervalMs: 1000, timeoutMs: 1000 } });
  });
  after(() => service[Symbol.asyncDispose]());

  const { show, eventsOf, typesOf, online } = directoryView(() => service);
  test('the directory shows and filters which keys signed the image, as the device says it', async () => {
    const identity = await enrol(service, 'board-keys');
    await using device = await TestDevice.register(service, identity, { parameters: ['keys=development'] });
    const listed = async (value: string) =>
      (await service.get(`/v3/devices?image_keys__eq=${value}`)).body.data.map(
        ({ id }: { id: string }) => id,
      );
    assert.equal((await show(identity.deviceId)).image_keys, 'development');
    assert.deepEqual(await listed('development'), [identity.deviceId]);
    assert.deepEqual(await listed('production'), []);
    await device.registerAgain(300, ['keys=production']);
    assert.equal((await show(identity.deviceId)).image_keys, 'production');
    assert.deepEqual(await listed('production'), [identity.deviceId]);
    // Of what else it may say, and of silence, the directory says nothing.
    for (const parameters of [['keys=other'], ['keys'], []]) {
      await device.registerAgain(300, parameters);
      assert.equal((await show(identity.deviceId)).image_keys, null);
    }
  });

  test('a device whose farewell is a text that the database cannot hold goes offline like any other', async () => {
    const identity = await enrol(service, 'board-nul');
    await using device = await TestDevice.register(service, identity);
    const none = new Uint8Array();
    const payload = Buffer.from('no\0more');
    device.socket.write(encodeTcpFrame({ code: Code.ABORT, token: none, options: [], payload }));
    await online(identity.deviceId, false);
    assert.equal((await typesOf(identity.deviceId)).at(-1), 'offline');
  });

  test('a device registers, updates, deregisters; the directory shows it live', async () => {
    const identity = await enrol(service, 'board-1');
    await using device = await TestDevice.register(service, identity, { lifetime: 120 });
    const shown = await show(identity.deviceId);
    assert.deepEqual(
      [shown.state, shown.online, shown.lifetime, shown.lwm2m_version, shown.remote_address],
      ['registered', true, 120, '1.1', '127.0.0.1'],
    );
    assert.equal(shown.device_key.length, 64);
    assert.equal((await device.post(device.location, ['lt=180'])).code, Code.CHANGED);
    assert.equal((await show(identity.deviceId)).lifetime, 180);
    const gone = await device.peer.request({
      code: Code.DELETE,
      options: pathOf(device),
      payload: new Uint8Array(),
    });
    assert.equal(gone.code, Code.DELETED);
    await eventually(async () => (await show(identity.deviceId)).state === 'deregistered', 'deregistered');
    device.peer.close();
    await online(identity.deviceId, false);
    assert.deepEqual(await typesOf(identity.deviceId), [
      'created',
      'enrolled',
      'online',
      'registered',
      'deregistered',
      'offline',
    ]);
  });

  test('TLS 1.2 will do', async () => {
    const identity = await enrol(service, 'board-tls12');
    await using device = await TestDevice.register(service, identity, { maxVersion: 'TLSv1.2' });
    assert.equal(device.socket.getProtocol(), 'TLSv1.2');
  });

  test('a closed connection is an event at once, a silent one within the ping', async () => {
    const identity = await enrol(service, 'board-2');
    const first = await TestDevice.register(service, identity);
    let at = Date.now();
    first.socket.destroy();
    await online(identity.deviceId, false);
    assert.ok(Date.now() - at < 20_000);
    const second = await TestDevice.register(service, identity);
    await online(identity.deviceId, true);
    at = Date.now();
    second.vanish();
    await online(identity.deviceId, false);
    assert.ok(Date.now() - at < 30_000, `${Date.now() - at} ms`);
    const last = (await eventsOf(identity.deviceId)).at(-1);
    assert.match(last?.description ?? '', /ping/);
    await second[Symbol.asyncDispose]();
  });

  test('a silent device is pinged, and one in queue mode left to sleep', async () => {
    const [awake, sleepy] = [await enrol(service, 'board-awake'), await enrol(service, 'board-asleep')];
    await using first = await TestDevice.register(service, sleepy, { parameters: ['Q'] });
    await using second = await TestDevice.register(service, awake);
    const heard = { first: 0, second: 0 };
    first.socket.on('data', () => (heard.first += 1));
    second.socket.on('data', () => (heard.second += 1));
    await eventually(async () => heard.second >= 3, 'three pings of the other');
    assert.equal(heard.first, 0);
  });

  test('the kernel probes a device again that has slept and sleeps no more', async () => {
    const identity = await enrol(service, 'board-woken');
    await using device = await TestDevice.register(service, identity, { parameters: ['Q'] });
    const { localPort, remotePort } = device.socket;
    // The other end, which is the service's.
    const timer = () => timerOf({ localPort: remotePort, remotePort: localPort });
    await eventually(async () => timer() === undefined, 'left to sleep', 5000);
    await device.registerAgain();
    await eventually(async () => timer() !== undefined, 'probed', 5000);
  });

  test('of many that connect with one identity at once, one stays', async () => {
    const identity = await enrol(service, 'board-crowd');
    const all = await Promise.all(Array.from({ length: 6 }, () => TestDevice.connect(service, identity)));
    const ended = () => all.filter((one) => one.peer.closed.aborted).length;
    await eventually(async () => ended() === 5, 'five refused');
    assert.equal((await typesOf(identity.deviceId)).filter((type) => type === 'online').length, 1);
    for (const one of all) await one[Symbol.asyncDispose]();
  });

  test('a device whose network broke comes back at once', async () => {
    const identity = await enrol(service, 'board-4');
    const network = await breakableNetwork(service.service.file.ports.lwm2m);
    const before = await TestDevice.register(service, identity, { port: network.port });
    network.break();
    await using back = await TestDevice.register(service, identity);
    assert.equal((await show(identity.deviceId)).online, true);
    assert.equal((await back.post(back.location, [])).code, Code.CHANGED);
    assert.ok(!(await typesOf(identity.deviceId)).includes('clone-suspected'));
    await before[Symbol.asyncDispose]();
    network.close();
  });

  test("libcoap's client registers over coaps+tcp", async () => {
    const identity = await enrol(service, 'board-libcoap');
    const [key, cert] = [join(service.directory, 'lc.key'), join(service.directory, 'lc.crt')];
    await Promise.all([writeFile(key, identity.key), writeFile(cert, identity.cert)]);
    const url = `coaps+tcp://127.0.0.1:${service.service.file.ports.lwm2m}/rd?ep=board-libcoap&lt=60&lwm2m=1.1&b=T`;
    const { stdout, stderr } = await run('coap-client-openssl', [
      '-m',
      'post',
      '-t',
      '40',
      '-e',
      '</3/0>',
      '-c',
      cert,
      '-j',
      key,
      '-R',
      service.service.file.trust,
      '-B',
      '5',
      '-v',
      '6',
      url,
    ]);
    assert.match(stdout + stderr, /2\.01/);
    await eventually(async () => (await typesOf(identity.deviceId)).includes('registered'), 'registered');
    await online(identity.deviceId, false);
  });

  test('a renewed certificate is accepted, and its use ends the old one', async () => {
    const identity = await enrol(service, 'board-10');
    const renewed = await renewIdentity(service, identity);
    {
      await using old = await TestDevice.register(service, identity);
      assert.ok(old);
    }
    {
      await using fresh = await TestDevice.register(service, renewed);
      assert.ok(fresh);
    }
    await using late = await TestDevice.connect(service, identity);
    assert.match(await late.ended(), /superseded-certificate/);
  });

  test('a device that is enrolled anew loses its old connection', async () => {
    const identity = await enrol(service, 'board-11');
    await using device = await TestDevice.register(service, identity);
    const again = await enrol(service, 'board-11');
    assert.equal(again.deviceId, identity.deviceId);
    await device.ended();
    await using replaced = await TestDevice.register(service, again);
    assert.ok(replaced);
    const stolen = await service.call('POST', '/v3/device-enrolment-codes', { endpoint_name: 'board-11' });
    const refused = await est(service, 'simpleenroll', {
      method: 'POST',
      headers: basic('board-11', `${stolen.body.code}x`),
      body: requestBody(newKey(), 'board-11'),
    });
    assert.equal(refused.status, 401);
    assert.equal((await replaced.post(replaced.location, [])).code, Code.CHANGED, 'a guess disturbs nobody');
  });

  test('a registration that is not updated expires', async () => {
    const identity = await enrol(service, 'board-12');
    await using device = await TestDevice.register(service, identity, { lifetime: 1 });
    assert.ok(device);
    await eventually(async () => (await show(identity.deviceId)).state === 'deregistered', 'expired');
    assert.ok((await typesOf(identity.deviceId)).includes('registration-expired'));
    assert.equal((await show(identity.deviceId)).online, true, 'and yet it is there');
  });

  test('the service stops although a device is being let in', async () => {
    const other = await TestService.start();
    const identity = await enrol(other, 'board-entering');
    const blocker = new pg.Client(other.options.databaseUrl);
    await blocker.connect();
    await blocker.query('begin');
    await blocker.query('lock table device_events in exclusive mode');
    await using device = await TestDevice.connect(other, identity);
    await eventually(async () => {
      const { rows } = await blocker.query(
        "select 1 from pg_locks where not granted and relation = 'device_events'::regclass",
      );
      return rows.length > 0;
    }, 'it is being written down as online');
    const stopped = other[Symbol.asyncDispose]();
    await new Promise((done) => setTimeout(done, 200));
    await blocker.query('commit');
    const limit = AbortSignal.timeout(60_000);
    await Promise.race([stopped, once(limit, 'abort').then(() => assert.fail('it does not stop'))]);
    await device.ended();
    assert.deepEqual((await blocker.query('select online from devices')).rows, [{ online: false }]);
    await blocker.end();
  });

  test('a step of the clock ends no registration that is held, and does end others', async (t) => {
    let step = 0;
    t.mock.timers.enable({ apis: ['setInterval'] });
    await using other = await TestService.start({ now: () => Date.now() + step });
    const [held, left] = [await enrol(other, 'board-held'), await enrol(other, 'board-left')];
    await using device = await TestDevice.register(other, held);
    const gone = await TestDevice.register(other, left);
    await gone[Symbol.asyncDispose]();
    await other.restart();
    await using back = await TestDevice.register(other, held);
    assert.ok(device && back);
    step = 3_600_000;
    t.mock.timers.tick(15_000);
    const state = async ({ deviceId }: TestIdentity) =>
      (await other.get(`/v3/devices/${deviceId}`)).body.state;
    await eventually(async () => (await state(left)) === 'deregistered', 'expired');
    assert.equal(await state(held), 'registered');
  });

  test('what the directory cannot hold, NUL or half a character after a cut, keeps no device out', async () => {
    const identity = await enrol(service, 'odd-text');
    await using device = await TestDevice.connect(service, identity);
    const links = `</>;rt="oma.lwm2m";ct=112,</3/0>;rt="${'x'.repeat(127)}\u{1f600}"`;
    for (const type of [`${'x'.repeat(63)}\u{1f600}`, 'a\0b']) {
      const query = ['ep=odd-text', 'lt=300', 'lwm2m=1.1', 'b=T', `et=${type}`];
      assert.equal((await device.post(['rd'], query, links)).code, Code.CREATED);
    }
    assert.equal((await show(identity.deviceId)).state, 'registered');
  });

  test('a lifetime may be as long as LwM2M has it', async () => {
    const identity = await enrol(service, 'board-for-ever');
    await using device = await TestDevice.register(service, identity, { lifetime: 4_294_967_295 });
    assert.ok(device);
    const shown = await show(identity.deviceId);
    assert.deepEqual([shown.state, shown.lifetime], ['registered', 2_147_483_647]);
  });

  test('a registration without a name and without an end is that of the certificate, and stays', async () => {
    const identity = await enrol(service, 'board-unnamed');
    await using device = await TestDevice.connect(service, identity);
    const answer = await device.post(['rd'], ['lt=0', 'lwm2m=1.1', 'b=T'], '</3/0>');
    assert.equal(answer.code, Code.CREATED, Buffer.from(answer.payload).toString());
    const shown = await show(identity.deviceId);
    assert.deepEqual([shown.state, shown.lifetime, shown.registration_expires_at], ['registered', 0, null]);
    const { description } =
      (await eventsOf(identity.deviceId)).find((one) => one.event_type === 'device.registered') ?? {};
    assert.equal(description, 'Registered without an end');
    // A service that has just started ends what has run out.
    await service.restart();
    assert.equal((await show(identity.deviceId)).state, 'registered');
  });

  test('a device that is suspended after a restart is registered no more, though it did not come back', async () => {
    const identity = await enrol(service, 'board-suspended');
    const device = await TestDevice.register(service, identity);
    await service.restart();
    await device.ended();
    assert.equal((await show(identity.deviceId)).state, 'registered');
    const path = `/v3/devices/${identity.deviceId}/suspend`;
    assert.equal((await service.call('POST', path, { category: 'other' })).status, 204);
    await eventually(
      async () => (await show(identity.deviceId)).state === 'deregistered',
      'the directory says so',
    );
    assert.deepEqual((await typesOf(identity.deviceId)).slice(-2), ['suspended', 'deregistered']);
  });

  test('a restart puts everybody offline; devices come back by themselves', async () => {
    const identity = await enrol(service, 'board-13');
    const device = await TestDevice.register(service, identity);
    await service.restart();
    await device.ended();
    const shown = await show(identity.deviceId);
    assert.deepEqual([shown.online, shown.state], [false, 'registered']);
    await using back = await TestDevice.connect(service, identity);
    assert.equal((await back.post(device.location, [])).code, Code.NOT_FOUND, 'it is told to register');
    await back.registerAgain();
    assert.deepEqual((await typesOf(identity.deviceId)).slice(-4), [
      'registered',
      'offline',
      'online',
      'registered',
    ]);
  });
});

function pathOf(device: TestDevice) {
  return device.location.map((segment) => ({ number: 11, value: Buffer.from(segment) }));
}

/** A TCP relay that can stop to carry anything, without telling either side. */
async function breakableNetwork(target: number) {
  const sockets: Socket[] = [];
  const server = createTcpServer((near) => {
    const far = connectTcp(target, '127.0.0.1');
    sockets.push(near, far);
    near.on('error', () => {}).pipe(far);
    far.on('error', () => {}).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    break: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
