// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer as createTcpServer, connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Code } from '@mbl/coap';
import {
  basic,
  certificateIn,
  enrol,
  est,
  eventually,
  keyPem,
  newKey,
  requestBody,
  TestDevice,
  type TestIdentity,
} from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';

const run = promisify(execFile);

describe('the LwM2M edge', () => {
  let service: TestService;
  before(async () => {
    service = await TestService.start({ keepAlive: { intervalMs: 1000, timeoutMs: 1000 } });
  });
  after(() => service[Symbol.asyncDispose]());

  const show = async (id: string) => (await service.get(`/v3/devices/${id}`)).body;
  const eventsOf = async (
    id: string,
  ): Promise<{ event_type: string; description: string; data: Record<string, string> }[]> =>
    (await service.get(`/v3/device-events?device_id__eq=${id}`)).body.data;
  const typesOf = async (id: string) =>
    (await eventsOf(id)).map((event) => event.event_type.replace('device.', ''));
  const online = (id: string, wanted: boolean) =>
    eventually(async () => (await show(id)).online === wanted, wanted ? 'online' : 'offline');
  const refusal = (name: string, reason: string) =>
    eventually(async () => {
      const query = `endpoint_name__eq=${name}&reason__eq=${reason}`;
      return (await service.get(`/v3/device-enrollment-denials?${query}`)).body.data[0];
    }, `refused: ${reason}`);

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
    assert.ok(Date.now() - at < 2000);
    const second = await TestDevice.register(service, identity);
    await online(identity.deviceId, true);
    at = Date.now();
    second.vanish();
    await online(identity.deviceId, false);
    assert.ok(Date.now() - at < 6000, `${Date.now() - at} ms`);
    const last = (await eventsOf(identity.deviceId)).at(-1);
    assert.match(last?.description ?? '', /ping/);
    await second[Symbol.asyncDispose]();
  });

  test('a copy of a connected identity is refused and shown; the device stays', async () => {
    const identity = await enrol(service, 'board-3');
    await using device = await TestDevice.register(service, identity);
    await using copy = await TestDevice.connect(service, identity);
    assert.match(await copy.ended(), /already-connected/);
    const denial = await refusal('board-3', 'already-connected');
    assert.equal(denial.device_id, identity.deviceId);
    assert.ok((await typesOf(identity.deviceId)).includes('clone-suspected'));
    assert.equal((await device.post(device.location, [])).code, Code.CHANGED);
    assert.equal((await show(identity.deviceId)).online, true);
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

  test('a registration must be in the name of the certificate', async () => {
    const identity = await enrol(service, 'board-5');
    await enrol(service, 'board-6');
    await using device = await TestDevice.connect(service, identity);
    const answer = await device.post(['rd'], ['ep=board-6', 'lt=60', 'lwm2m=1.1', 'b=T'], '</3/0>');
    assert.equal(answer.code, Code.FORBIDDEN);
    assert.match((await refusal('board-5', 'name-mismatch')).description, /board-6/);
  });

  test('revoked, suspended, deleted: the connection ends and no other is let in', async () => {
    const identity = await enrol(service, 'board-7');
    const path = `/v3/devices/${identity.deviceId}`;
    await using first = await TestDevice.register(service, identity);
    await service.call('POST', `${path}/suspend`, { category: 'maintenance' });
    assert.match(await first.ended(), /end the connection|closed/);
    await eventually(async () => (await show(identity.deviceId)).state === 'deregistered', 'deregistered');
    await using second = await TestDevice.connect(service, identity);
    assert.match(await second.ended(), /suspended/);
    await service.call('POST', `${path}/resume`, { category: 'maintenance' });
    await using third = await TestDevice.register(service, identity);
    await service.call('POST', `${path}/certificates/revoke`, { reason: 'key leaked' });
    await third.ended();
    await using fourth = await TestDevice.connect(service, identity);
    assert.match(await fourth.ended(), /revoked-certificate: .*key leaked/);
    const types = await typesOf(identity.deviceId);
    assert.ok(types.includes('certificate-revoked') && types.includes('connection-refused'), String(types));
    await service.call('DELETE', path);
    await using fifth = await TestDevice.connect(service, identity);
    assert.match(await fifth.ended(), /unknown-certificate/);
  });

  test('another key under a known name is refused and recorded', async () => {
    const identity = await enrol(service, 'board-8');
    const foreign = await foreignIdentity(service, identity);
    await using stranger = await TestDevice.connect(service, foreign);
    assert.match(await stranger.ended(), /foreign-certificate/);
    assert.equal((await refusal('board-8', 'foreign-certificate')).device_id, identity.deviceId);
    assert.ok((await typesOf(identity.deviceId)).includes('connection-refused'));
  });

  test('openssl: a foreign certificate and none are refused, the right one gets a CSM', async () => {
    const identity = await enrol(service, 'board-9');
    const foreign = await foreignIdentity(service, identity);
    const sClient = async (arguments_: string[], stop?: 'after-data') => {
      const port = service.service.file.ports.lwm2m;
      const child = spawn(
        'openssl',
        [
          's_client',
          '-connect',
          `127.0.0.1:${port}`,
          '-servername',
          'service.mbl.internal',
          '-verify_hostname',
          'service.mbl.internal',
          '-verify_return_error',
          '-CAfile',
          service.service.file.trust,
          '-quiet',
          ...arguments_,
        ],
        { stdio: ['pipe', 'pipe', 'pipe'] },
      );
      const chunks: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        // Whoever is refused is hung up on; whoever is let in has a greeting to wait for.
        if (stop === 'after-data') child.kill();
      });
      await once(child, 'close', { signal: AbortSignal.timeout(15_000) });
      return Buffer.concat(chunks).toString('latin1');
    };
    const files = async (one: TestIdentity, name: string) => {
      const [key, cert] = [join(service.directory, `${name}.key`), join(service.directory, `${name}.crt`)];
      await Promise.all([writeFile(key, one.key), writeFile(cert, one.cert)]);
      return ['-key', key, '-cert', cert];
    };
    assert.match(await sClient([]), /no-certificate/);
    assert.match(await sClient(await files(foreign, 'foreign')), /foreign-certificate/);
    const accepted = await sClient(await files(identity, 'own'), 'after-data');
    assert.equal(accepted.charCodeAt(1), Code.CSM);
    assert.doesNotMatch(accepted, /certificate/);
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
    const key = newKey();
    const renewed = await est(service, 'simplereenroll', {
      method: 'POST',
      body: requestBody(key, 'board-10'),
      key: identity.key,
      cert: identity.cert,
    });
    assert.equal(renewed.status, 200);
    {
      await using old = await TestDevice.register(service, identity);
      assert.ok(old);
    }
    {
      await using fresh = await TestDevice.register(service, {
        ...identity,
        key: keyPem(key),
        cert: certificateIn(renewed),
      });
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

/** The subject of a real device under a CA that is not ours. */
async function foreignIdentity(service: TestService, like: TestIdentity): Promise<TestIdentity> {
  const at = (name: string) => join(service.directory, `foreign-${like.name}.${name}`);
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    at('key'),
    '-out',
    at('crt'),
    '-subj',
    `/CN=${like.name}/L=${like.deviceId}`,
    '-days',
    '30',
  ]);
  return { ...like, key: await readFile(at('key'), 'utf8'), cert: await readFile(at('crt'), 'utf8') };
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
