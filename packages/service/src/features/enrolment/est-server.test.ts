// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { createRequest, decodeCertsOnly, decodeEstBody, encodeEstBody, subjectOf } from '@mbl/trust';
import fc from 'fast-check';
import pg from 'pg';
import {
  basic,
  certificateIn,
  est as estRequest,
  eventually,
  keyPem as pem,
  newKey,
  requestBody,
} from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';
import { basicCredentials } from './est-server.ts';

const run = promisify(execFile);

describe('EST', () => {
  let service: TestService;
  before(async () => {
    service = await TestService.start();
  });
  after(() => service[Symbol.asyncDispose]());

  const est = (path: string, options: Parameters<typeof estRequest>[2] = {}) =>
    estRequest(service, path, options);
  const newCode = async (name: string, extra = {}): Promise<{ code: string; device_id: string }> =>
    (await service.call('POST', '/v3/device-enrolment-codes', { endpoint_name: name, ...extra })).body;
  const enrol = (name: string, code: string, key: KeyObject) =>
    est('simpleenroll', { method: 'POST', headers: basic(name, code), body: requestBody(key, name) });
  const deviceEvents = async (id: string): Promise<string[]> =>
    (await service.get(`/v3/device-events?device_id__eq=${id}`)).body.data.map(
      (event: { event_type: string }) => event.event_type,
    );

  test('gives its CA certificates', async () => {
    const answer = await est('cacerts');
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['content-type']), /^application\/pkcs7-mime/);
    const names = decodeCertsOnly(decodeEstBody(answer.body)).map((one) => one.subject);
    assert.deepEqual(names, ['CN=MBL device CA', 'CN=MBL service CA']);
  });

  test('a code gives one key its certificate, as often as that key asks, and no other key', async () => {
    const { code, device_id } = await newCode('board-1');
    const key = newKey();
    const first = await enrol('board-1', code, key);
    assert.equal(first.status, 200, first.body);
    const [certificate] = decodeCertsOnly(decodeEstBody(first.body));
    assert.ok(certificate);
    const { account_id } = (await service.get(`/v3/devices/${device_id}`)).body;
    assert.deepEqual(subjectOf(certificate.raw), {
      commonName: 'board-1',
      locality: device_id,
      organizationalUnit: account_id,
    });
    assert.equal(new Date(certificate.validFrom).getTime(), 0);
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.equal((await enrol('board-1', code, key)).body, first.body, 'a lost answer can be had again');

    const thief = await enrol('board-1', code, newKey());
    assert.equal(thief.status, 403);
    assert.match(thief.body, /used before/);
    assert.deepEqual(await deviceEvents(device_id), [
      'device.created',
      'device.enrolled',
      'device.clone-suspected',
    ]);
    const { body: device } = await service.get(`/v3/devices/${device_id}`);
    assert.equal(device.state, 'bootstrapped');
    const { body: denials } = await service.get('/v3/device-enrollment-denials?endpoint_name__eq=board-1');
    assert.deepEqual(
      denials.data.map((one: { reason: string; device_id: string }) => [one.reason, one.device_id]),
      [['used-code', device_id]],
    );
  });

  test('of many keys that race with one code, one wins', async () => {
    const { code } = await newCode('raced');
    const answers = await Promise.all(Array.from({ length: 6 }, () => enrol('raced', code, newKey())));
    assert.deepEqual(
      answers.map((answer) => answer.status).toSorted((a, b) => a - b),
      [200, 403, 403, 403, 403, 403],
    );
  });

  test('wrong, foreign and expired codes are refused and recorded', async () => {
    const { code, device_id } = await newCode('board-2');
    assert.equal((await enrol('board-2', 'guess', newKey())).status, 401);
    assert.equal((await enrol('board-3', code, newKey())).status, 401, 'a code is for one name');
    assert.equal(
      (await est('simpleenroll', { method: 'POST', body: 'x' })).headers['www-authenticate'],
      'Basic realm="est"',
    );
    const old = await newCode('board-2', { expires_at: '2001-01-01T00:00:00Z' });
    assert.equal((await enrol('board-2', old.code, newKey())).status, 403);
    assert.deepEqual((await deviceEvents(device_id)).slice(1), [
      'device.enrolment-refused',
      'device.enrolment-refused',
    ]);
    const stranger = await service.get('/v3/device-enrollment-denials?endpoint_name=board-3');
    assert.equal(stranger.body.data[0].device_id, null);
    for (let n = 0; n < 3; n++) await enrol('board-2', 'guess', newKey());
    const { body } = await service.get(
      '/v3/device-enrollment-denials?endpoint_name=board-2&reason=wrong-code',
    );
    assert.ok(body.data.length <= 2, 'the same refusal is counted, not repeated');
    assert.equal(
      body.data.reduce((sum: number, one: { times: number }) => sum + one.times, 0),
      4,
    );
  });

  test('requests that are not for this name, not signed, too long or of a weak key are refused', async () => {
    const { code } = await newCode('board-4');
    const post = (body: string) =>
      est('simpleenroll', { method: 'POST', headers: basic('board-4', code), body });
    assert.equal((await post(requestBody(newKey(), 'board-5'))).status, 400);
    assert.equal((await post('bm9uc2Vuc2U=')).status, 400);
    assert.equal((await post('A'.repeat(100_000))).status, 413);
    const der = createRequest(newKey(), { commonName: 'board-4' }).der;
    der[der.length - 3] = (der[der.length - 3] ?? 0) ^ 1;
    assert.match((await post(encodeEstBody(der))).body, /not signed/);
    const key = join(service.directory, 'k');
    for (const algorithm of [
      ['EC', '-pkeyopt', 'ec_paramgen_curve:secp384r1'],
      ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
      ['RSA', '-pkeyopt', 'rsa_keygen_bits:3072'],
      ['ED25519'],
    ]) {
      await run('openssl', ['genpkey', '-algorithm', ...algorithm, '-out', key]);
      const args = ['req', '-new', '-key', key, '-subj', '/CN=board-4', '-outform', 'DER'];
      const { stdout } = await run('openssl', args, { encoding: 'buffer' });
      const answer = await post(stdout.toString('base64'));
      assert.equal(answer.status, 400);
      assert.match(answer.body, /P-256/, algorithm.join(' '));
    }
    assert.equal((await enrol('board-4', code, newKey())).status, 200, 'none of them used the code up');
    assert.equal((await est('nothing')).status, 404);
    for (const [path, wrong, allowed] of [
      ['cacerts', 'POST', 'GET'],
      ['simpleenroll', 'GET', 'POST'],
      ['simplereenroll', 'PUT', 'POST'],
    ] as const) {
      const answer = await est(path, { method: wrong });
      assert.deepEqual([answer.status, answer.headers['allow']], [405, allowed]);
    }
  });

  test('a renewal needs a certificate, and the name in it', async () => {
    const { code } = await newCode('board-6');
    const key = newKey();
    const cert = certificateIn(await enrol('board-6', code, key));
    const renew = (name: string, identity: { key?: string; cert?: string }) =>
      est('simplereenroll', { method: 'POST', body: requestBody(key, name), ...identity });
    assert.equal((await renew('board-7', { key: pem(key), cert })).status, 400);
    assert.equal((await renew('board-6', {})).status, 403);
    assert.equal((await renew('board-6', { key: pem(key), cert })).status, 200);
  });

  test('a right that ends while a certificate is renewed ends the renewal', async () => {
    const { code, device_id } = await newCode('board-8');
    await enrol('board-8', code, newKey());
    const revoke = () =>
      service.call('POST', `/v3/devices/${device_id}/certificates/revoke`, { reason: 'stolen' });
    const blocker = new pg.Client(service.options.databaseUrl);
    await blocker.connect();
    /** Does `meanwhile` as one that was first to lock the device. */
    const overtake = async <T>(late: () => Promise<T>, meanwhile: string): Promise<T> => {
      await blocker.query('begin');
      await blocker.query('select from devices where id = $1 for update', [device_id]);
      const answer = late();
      await eventually(async () => {
        const { rows } = await blocker.query('select from pg_locks where not granted');
        return rows.length > 0;
      }, 'it waits for the lock');
      await blocker.query(meanwhile);
      await blocker.query('commit');
      return answer;
    };

    const statuses = async () =>
      (await service.get(`/v3/devices/${device_id}/certificates`)).body.data.map(
        (one: { status: string }) => one.status,
      );

    // A certificate that is being issued when the others are revoked.
    await overtake(
      revoke,
      `insert into device_certificates (id, device_id, fingerprint, key_fingerprint, pem, status, not_after, issued_at)
       select id || 'x', device_id, 'late', 'late', pem, 'issued', not_after, issued_at from device_certificates
       where device_id = '${device_id}'`,
    );
    assert.deepEqual(await statuses(), ['revoked', 'revoked']);

    // Certificates that are being revoked when one is to be issued.
    const again = await newCode('board-8');
    const nextKey = newKey();
    const next = certificateIn(await enrol('board-8', again.code, nextKey));
    const refused = await overtake(
      () =>
        est('simplereenroll', {
          method: 'POST',
          key: pem(nextKey),
          cert: next,
          body: requestBody(nextKey, 'board-8'),
        }),
      `update device_certificates set status = 'revoked' where device_id = '${device_id}'`,
    );
    assert.equal(refused.status, 403, refused.body);
    assert.deepEqual(await statuses(), ['revoked', 'revoked', 'revoked']);
    await blocker.end();
  });

  test('curl and openssl enrol a device', async () => {
    const { code } = await newCode('by-curl');
    const at = (name: string) => join(service.directory, name);
    await run('openssl', [
      'req',
      '-new',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      at('key.pem'),
      '-subj',
      '/CN=by-curl',
      '-outform',
      'DER',
      '-out',
      at('csr.der'),
    ]);
    await writeFile(at('csr.b64'), encodeEstBody(await readFile(at('csr.der'))));
    const port = service.service.file.ports.est;
    await run('curl', [
      '-sS',
      '--fail',
      '--cacert',
      service.service.file.trust,
      '--connect-to',
      `service.mbl.internal:${port}:127.0.0.1:${port}`,
      '-u',
      `by-curl:${code}`,
      '-H',
      'content-type: application/pkcs10',
      '--data-binary',
      `@${at('csr.b64')}`,
      '-o',
      at('p7.b64'),
      `https://service.mbl.internal:${port}/.well-known/est/simpleenroll`,
    ]);
    await writeFile(at('p7.der'), Buffer.from(await readFile(at('p7.b64'), 'utf8'), 'base64'));
    const { stdout } = await run('openssl', [
      'pkcs7',
      '-inform',
      'DER',
      '-in',
      at('p7.der'),
      '-print_certs',
      '-noout',
    ]);
    assert.match(stdout, /CN ?= ?by-curl/);
  });

  test('no header makes the reader of credentials throw', () => {
    assert.deepEqual(basicCredentials(basic('a:b', 'c').authorization), { endpointName: 'a:b', code: 'c' });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String().map((text) => `Basic ${text}`),
        ),
        (header) => {
          basicCredentials(header);
        },
      ),
    );
  });
});
