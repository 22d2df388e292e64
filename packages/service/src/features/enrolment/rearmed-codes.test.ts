// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { ServiceClient } from '../../client/service-client.ts';
import {
  basic,
  certificateIn,
  est,
  eventually,
  keyPem,
  newKey,
  requestBody,
  TestDevice,
  type TestIdentity,
} from '../../testing/device.ts';
import { directoryView } from '../../testing/directory-view.ts';
import { renewIdentity } from '../../testing/renewal.ts';
import { type Answer, TestService } from '../../testing/service.ts';

const hourMs = 3_600_000;

describe('an enrolment code that is used once more', { timeout: 240_000 }, () => {
  let service: TestService;
  let client: ServiceClient;
  /** The service's clock, that of the machine and this. */
  let ahead = 0;
  before(async () => {
    service = await TestService.start({ now: () => Date.now() + ahead });
    const { http, apiKey } = service.service.file;
    client = new ServiceClient({ url: http, apiKey });
  });
  after(() => service[Symbol.asyncDispose]());
  const { eventsOf, typesOf } = directoryView(() => service);

  const enrol = (name: string, code: string, key: KeyObject) =>
    est(service, 'simpleenroll', {
      method: 'POST',
      headers: basic(name, code),
      body: requestBody(key, name),
    });
  const rearm = (id: string, body: object = {}): Promise<Answer> =>
    service.call('POST', `/v3/device-enrolment-codes/${id}/rearm`, body);

  /** A device that enrolled with its code, as its factory made it. */
  async function enrolled(name: string) {
    const { body: made } = await service.call('POST', '/v3/device-enrolment-codes', { endpoint_name: name });
    const key = newKey();
    const answer = await enrol(name, made.code, key);
    assert.equal(answer.status, 200, answer.body);
    const deviceId: string = made.device_id;
    const identity: TestIdentity = { name, deviceId, key: keyPem(key), cert: certificateIn(answer) };
    return { id: made.id as string, code: made.code as string, deviceId, key, identity };
  }

  const identityOf = (name: string, deviceId: string, key: KeyObject, answer: { body: string }) => ({
    name,
    deviceId,
    key: keyPem(key),
    cert: certificateIn(answer as Parameters<typeof certificateIn>[0]),
  });

  test('gives a device that lost its key a new certificate; the old one, its connection and its key are refused', async () => {
    const { code, deviceId, key, identity } = await enrolled('lost');
    await using old = await TestDevice.register(service, identity);
    const fresh = newKey();
    assert.equal((await enrol('lost', code, fresh)).status, 403, 'not before its owner said so');
    assert.equal((await typesOf(deviceId)).at(-1), 'clone-suspected');

    const rearmed = await client.rearmEnrolment('lost');
    const until = Date.parse(rearmed.rearmed_until ?? '');
    assert.ok(Math.abs(until - Date.now() - 24 * hourMs) < 60_000);
    const answer = await enrol('lost', code, fresh);
    assert.equal(answer.status, 200, answer.body);
    const events = await eventsOf(deviceId);
    const [armed, given] = ['device.enrolment-rearmed', 'device.enrolled'].map((type) =>
      events.findLast(({ event_type }) => event_type === type),
    );
    assert.equal(armed?.data['until'], rearmed.rearmed_until);
    assert.match(given?.description ?? '', /re-armed code/);
    assert.notEqual(given?.data['replaced'], given?.data['fingerprint']);

    await old.ended();
    await eventually(
      async () =>
        (await eventsOf(deviceId)).some(({ description }) =>
          /Disconnected: .*enrolled again/.test(description),
        ),
      'its connection ended, and why is written down',
    );
    await using thief = await TestDevice.connect(service, identity);
    assert.match(await thief.ended(), /superseded-certificate/);
    const renewal = await est(service, 'simplereenroll', {
      method: 'POST',
      body: requestBody(newKey(), 'lost'),
      key: identity.key,
      cert: identity.cert,
    });
    assert.equal(renewal.status, 403);
    assert.equal((await enrol('lost', code, key)).status, 403, 'nor may the old key use the code again');
    await using device = await TestDevice.register(service, identityOf('lost', deviceId, fresh, answer));
    assert.ok(device.location.length > 0);
  });

  test('a lost answer may be asked for again by the same key, and by no other', async () => {
    const { id, code } = await enrolled('answer');
    await rearm(id);
    const fresh = newKey();
    const first = await enrol('answer', code, fresh);
    assert.equal(first.status, 200);
    assert.equal((await enrol('answer', code, fresh)).body, first.body);
    assert.equal((await enrol('answer', code, newKey())).status, 403);
    const { body } = await service.get(`/v3/device-enrolment-codes/${id}`);
    assert.equal(body.rearmed_until, null);
  });

  test('of many keys that race for it, one wins', async () => {
    const { id, code } = await enrolled('raced-again');
    await rearm(id);
    const answers = await Promise.all(Array.from({ length: 6 }, () => enrol('raced-again', code, newKey())));
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 403, 403, 403, 403, 403],
    );
  });

  test('the key that it has gets what it has, and uses nothing up; without its certificate it gets another', async () => {
    const { id, code, key, identity } = await enrolled('same-key');
    await rearm(id);
    assert.equal(certificateIn(await enrol('same-key', code, key)), identity.cert);
    const used = await renewIdentity(service, identity);
    await using device = await TestDevice.register(service, used);
    assert.ok(device.location.length > 0);
    const again = await enrol('same-key', code, key);
    assert.equal(again.status, 200, again.body);
    assert.notEqual(certificateIn(again), identity.cert);
    assert.notEqual(certificateIn(again), used.cert);
  });

  test('re-armed twice it still works once, until the later end', async () => {
    const { id, code, deviceId } = await enrolled('twice');
    const early = new Date(Date.now() + hourMs).toISOString();
    const late = new Date(Date.now() + 48 * hourMs).toISOString();
    assert.equal((await rearm(id, { expires_at: early })).body.rearmed_until, early);
    assert.equal((await rearm(id, { expires_at: late })).body.rearmed_until, late);
    ahead = 2 * hourMs;
    assert.equal((await enrol('twice', code, newKey())).status, 200);
    assert.equal((await enrol('twice', code, newKey())).status, 403);
    ahead = 0;
    const types = await typesOf(deviceId);
    assert.equal(types.filter((type) => type === 'enrolment-rearmed').length, 2);
  });

  test('when its time is over it is refused, and says since when', async () => {
    const { id, code } = await enrolled('too-late');
    const { body } = await rearm(id);
    ahead = 24 * hourMs + 1;
    const refused = await enrol('too-late', code, newKey());
    ahead = 0;
    assert.equal(refused.status, 403);
    assert.ok(refused.body.includes(body.rearmed_until), refused.body);
    for (const expires_at of [
      new Date(Date.now() - 1000).toISOString(),
      new Date(Date.now() + 31 * 24 * hourMs).toISOString(),
    ]) {
      assert.equal((await rearm(id, { expires_at })).status, 400, expires_at);
    }
  });

  test('a code that ended before it was used may be used after all; one that works needs no help', async () => {
    const make = async (body: object) =>
      (await service.call('POST', '/v3/device-enrolment-codes', { endpoint_name: 'shelf', ...body })).body;
    const ended = await make({ expires_at: '2001-01-01T00:00:00Z' });
    assert.equal((await enrol('shelf', ended.code, newKey())).status, 403);
    assert.equal((await rearm(ended.id)).status, 200);
    assert.equal((await enrol('shelf', ended.code, newKey())).status, 200);
    const unused = await make({});
    assert.equal((await rearm(unused.id)).status, 409);
    assert.equal((await rearm('nothing')).status, 404);
    await assert.rejects(client.rearmEnrolment('never-seen'), { code: 'service/no-used-code' });
  });

  test('a certificate that ended is not given again; the same key gets another when its owner says so', async () => {
    const { id, code, key, identity } = await enrolled('ended');
    ahead = 11 * 365 * 24 * hourMs;
    try {
      const refused = await enrol('ended', code, key);
      assert.equal(refused.status, 403);
      assert.match(refused.body, /has ended/);
      assert.equal((await rearm(id)).status, 200);
      const again = await enrol('ended', code, key);
      assert.equal(again.status, 200, again.body);
      assert.notEqual(certificateIn(again), identity.cert);
    } finally {
      ahead = 0;
    }
  });

  test('neither a revoked nor a suspended device gets in by it, whichever comes first', async () => {
    const first = await enrolled('revoked-first');
    await client.revokeCertificates(first.deviceId, 'stolen');
    const refused = await rearm(first.id);
    assert.equal(refused.status, 409);
    assert.match(refused.body.message, /revoked/);

    const later = await enrolled('revoked-later');
    await rearm(later.id);
    await client.revokeCertificates(later.deviceId, 'stolen');
    for (const key of [newKey(), later.key]) {
      const answer = await enrol('revoked-later', later.code, key);
      assert.equal(answer.status, 403);
      assert.match(answer.body, /revoked/);
    }

    const suspended = await enrolled('suspended');
    await rearm(suspended.id);
    await client.suspendDevice(suspended.deviceId, 'maintenance');
    assert.equal((await enrol('suspended', suspended.code, newKey())).status, 403);
    assert.equal((await rearm(suspended.id)).status, 409);
    await client.resumeDevice(suspended.deviceId, 'maintenance');
    assert.equal((await enrol('suspended', suspended.code, newKey())).status, 200, 'it was not used up');
  });
});
