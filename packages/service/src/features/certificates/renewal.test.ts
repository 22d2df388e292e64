// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { certificateIn, enrol, eventually, newKey, TestDevice } from '../../testing/device.ts';
import { directoryView } from '../../testing/directory-view.ts';
import { age, askRenewal, renewIdentity } from '../../testing/renewal.ts';
import { TestService } from '../../testing/service.ts';

describe('the renewal of a certificate', { timeout: 240_000 }, () => {
  let service: TestService;
  before(async () => {
    service = await TestService.start();
  });
  after(() => service[Symbol.asyncDispose]());
  const { eventsOf } = directoryView(() => service);

  const issued = async (id: string): Promise<{ status: string }[]> =>
    (await service.get(`/v3/devices/${id}/certificates`)).body.data;
  const reasons = async (id: string): Promise<string[]> =>
    (await service.get(`/v3/device-enrollment-denials?device_id=${id}`)).body.data.map(
      (one: { reason: string }) => one.reason,
    );

  test('long before its end gives what is there, as often as one asks', async () => {
    const identity = await enrol(service, 'early');
    for (let i = 0; i < 5; i++)
      assert.equal(certificateIn(await askRenewal(service, identity)), identity.cert);
    assert.equal((await issued(identity.deviceId)).length, 1);
    const types = (await eventsOf(identity.deviceId)).map(({ event_type }) => event_type);
    assert.ok(!types.includes('device.certificate-renewed'));
  });

  test('near its end gives one later certificate, again to whoever lost the answer; its use ends the old one', async () => {
    const identity = await enrol(service, 'near');
    await age(service, identity.deviceId);
    const answers = await Promise.all(Array.from({ length: 5 }, () => askRenewal(service, identity)));
    const later = new Set(answers.map(certificateIn));
    assert.equal(later.size, 1);
    assert.ok(!later.has(identity.cert));
    assert.equal((await issued(identity.deviceId)).length, 2);
    const renewed = (await eventsOf(identity.deviceId)).filter(
      ({ event_type }) => event_type === 'device.certificate-renewed',
    );
    assert.equal(renewed.length, 1);
    assert.equal(renewed[0]?.data['remote_address'], '127.0.0.1');
    const [cert = ''] = later;
    {
      await using device = await TestDevice.register(service, { ...identity, cert });
      assert.ok(device);
    }
    const old = await askRenewal(service, identity);
    assert.equal(old.status, 403);
    assert.match(old.body, /replaced/);
    const fresh = { ...identity, cert };
    await service.call('POST', `/v3/devices/${identity.deviceId}/certificates/revoke`, { reason: 'stolen' });
    assert.match((await askRenewal(service, fresh)).body, /revoked: stolen/);
    assert.deepEqual(await reasons(identity.deviceId), ['superseded-certificate', 'revoked-certificate']);
  });

  test('a copy of the identity gains nothing: no other key, and nothing while the device is connected', async () => {
    const identity = await enrol(service, 'copied');
    await age(service, identity.deviceId);
    const forAnother = await askRenewal(service, identity, newKey());
    assert.equal(forAnother.status, 403);
    assert.match(forAnother.body, /its own key/);
    {
      await using device = await TestDevice.register(service, identity);
      const meanwhile = await askRenewal(service, identity);
      assert.equal(meanwhile.status, 403);
      assert.match(meanwhile.body, /connected at this moment/);
      assert.ok(device);
    }
    assert.deepEqual(await reasons(identity.deviceId), ['other-key', 'already-connected']);
    const suspected = (await eventsOf(identity.deviceId)).filter(
      ({ event_type }) => event_type === 'device.clone-suspected',
    );
    assert.equal(suspected.length, 2);
    assert.equal((await issued(identity.deviceId)).length, 1);
    // When its connection is gone the device itself renews.
    await eventually(async () => (await askRenewal(service, identity)).status === 200, 'it renews');
    await using again = await TestDevice.register(service, await renewIdentity(service, identity));
    assert.ok(again);
  });
});

test('one renewed certificate whose use ends the old one, also when the clock went back while the service was off', async () => {
  let stepMs = 0;
  await using service = await TestService.start({ now: () => Date.now() + stepMs });
  const identity = await enrol(service, 'back');
  stepMs = -86_400_000;
  await service.restart();
  await age(service, identity.deviceId);
  const answers = [await askRenewal(service, identity), await askRenewal(service, identity)];
  const [cert = '', ...others] = new Set(answers.map(certificateIn));
  assert.deepEqual(others, []);
  {
    await using device = await TestDevice.register(service, { ...identity, cert });
    assert.ok(device);
  }
  const old = await askRenewal(service, identity);
  assert.match(old.body, /replaced/);
});
