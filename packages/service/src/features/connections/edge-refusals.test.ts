// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Code } from '@mbl/coap';
import { certificatePem, issueCertificate } from '@mbl/trust';
import { enrol, eventually, keyPem, newKey, TestDevice, type TestIdentity } from '../../testing/device.ts';
import { directoryView } from '../../testing/directory-view.ts';
import { TestService } from '../../testing/service.ts';
import { ensureAuthority } from '../certificates/authorities.ts';
import { Connections } from './connections.ts';

const run = promisify(execFile);

describe('who is refused at the LwM2M edge', () => {
  let service: TestService;
  before(async () => {
    service = await TestService.start({ keepAlive: { intervalMs: 1000, timeoutMs: 1000 } });
  });
  after(() => service[Symbol.asyncDispose]());

  const { show, eventsOf, typesOf, online } = directoryView(() => service);
  const refusalEvent = (id: string, reason: string) =>
    eventually(
      async () => (await eventsOf(id)).find((one) => one.data.reason === reason),
      `the event of a refusal: ${reason}`,
    );
  const refusal = (name: string, reason: string) =>
    eventually(async () => {
      const query = `endpoint_name__eq=${name}&reason__eq=${reason}`;
      return (await service.get(`/v3/device-enrollment-denials?${query}`)).body.data[0];
    }, `refused: ${reason}`);

  test('a copy of a connected identity is refused and shown; the device stays', async () => {
    const identity = await enrol(service, 'board-3');
    await using device = await TestDevice.register(service, identity);
    await using copy = await TestDevice.connect(service, identity);
    const heard = await copy.ended();
    assert.match(heard, /already-connected/);
    assert.doesNotMatch(heard, /127\.0\.0\.1/, 'where the device is, is none of its business');
    const denial = await refusal('board-3', 'already-connected');
    assert.match(denial.description, /127\.0\.0\.1/);
    assert.equal(denial.device_id, identity.deviceId);
    await eventually(
      async () => (await typesOf(identity.deviceId)).includes('clone-suspected'),
      'the event of the copy',
    );
    assert.equal((await device.post(device.location, [])).code, Code.CHANGED);
    assert.equal((await show(identity.deviceId)).online, true);
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
    assert.match(await fourth.ended(), /revoked-certificate/);
    const { description } = await refusal('board-7', 'revoked-certificate');
    assert.match(description, /key leaked/);
    const refused = await eventually(
      async () =>
        (await eventsOf(identity.deviceId)).find((one) => one.data.reason === 'revoked-certificate'),
      'the event of the refusal',
    );
    assert.equal(refused.event_type, 'device.connection-refused');
    assert.ok((await typesOf(identity.deviceId)).includes('certificate-revoked'));
    await service.call('DELETE', path);
    await using fifth = await TestDevice.connect(service, identity);
    assert.match(await fifth.ended(), /unknown-certificate/);
  });

  test('another key under a known name is refused and recorded, whoever certified it', async () => {
    const identity = await enrol(service, 'board-8');
    for (const [other, reason] of [
      [await foreignIdentity(service, identity), 'foreign-certificate'],
      [await unrecordedIdentity(service, identity), 'unknown-certificate'],
    ] as const) {
      await using stranger = await TestDevice.connect(service, other);
      assert.match(await stranger.ended(), new RegExp(reason));
      assert.equal((await refusal('board-8', reason)).device_id, identity.deviceId);
      const event = await refusalEvent(identity.deviceId, reason);
      assert.equal(event.event_type, 'device.connection-refused');
    }
  });

  test('a right that ends while the device is let in keeps it out', async () => {
    const identity = await enrol(service, 'board-late');
    const before = await TestDevice.register(service, identity);
    before.vanish();
    // It is let in when the one before has not answered a ping for a second.
    await using late = await TestDevice.connect(service, identity);
    await new Promise((done) => setTimeout(done, 300));
    await service.call('POST', `/v3/devices/${identity.deviceId}/certificates/revoke`, { reason: 'lost' });
    assert.match(await late.ended(), /revoked-certificate/);
    await online(identity.deviceId, false);
    await before[Symbol.asyncDispose]();

    const connections = new Connections();
    const entry = connections.enter('one');
    connections.disconnect('one', 'it was suspended');
    assert.equal(entry.ended, 'it was suspended');
    entry[Symbol.dispose]();
    using again = connections.enter('one');
    assert.equal(again.ended, undefined);
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
      await once(child, 'close', { signal: AbortSignal.timeout(60_000) });
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
});

/** The subject of a real device under our CA, for a key that was never enrolled. */
async function unrecordedIdentity(service: TestService, like: TestIdentity): Promise<TestIdentity> {
  const deviceCa = await ensureAuthority(join(service.directory, 'ca'), 'device-ca', 'MBL device CA');
  const key = newKey();
  const certificate = await issueCertificate(deviceCa, {
    subject: { commonName: like.name, locality: like.deviceId },
    publicKey: createPublicKey(key),
    usage: 'client',
    notAfter: new Date(Date.now() + 86_400_000),
  });
  return { ...like, key: keyPem(key), cert: certificatePem(certificate) };
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
