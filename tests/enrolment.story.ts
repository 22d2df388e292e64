// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostDevice } from './support/host-device.ts';
import { bootTimeoutMs, openWorld, until } from './support/world.ts';

/** The device's own client and the service, without a board: what only takes time on one. */
describe('enrolment', { timeout: 300_000 }, () => {
  test('a device whose certificate ended while it was off comes back when its owner lets it', async () => {
    const lifeSeconds = 15;
    await using world = await openWorld({ certificateLife: lifeSeconds });
    const { code } = await world.client.createEnrolment('sleeper');
    const folder = join(world.directory, 'sleeper');
    await using device = await hostDevice(folder, world.file, 'sleeper', code);
    const says = async (line: RegExp) =>
      await until(String(line), () => Promise.resolve(device.says(line)), bootTimeoutMs);
    await device.run(async () => {
      await says(/^registered /);
    });
    const before = await world.client.findDevice('sleeper');
    await sleep(lifeSeconds * 1000 + 500);
    await device.run(async () => {
      await says(/^renewal failed /);
      await says(/^connection failed .*expired-certificate/);
      await says(/^enrolment refused .*has ended.*mbl device enrol sleeper --again/);
      await world.client.rearmEnrolment('sleeper');
      await says(/^registered /);
    });
    const after = await world.client.findDevice('sleeper');
    assert.equal(after.id, before.id);
    assert.notEqual(after.device_key, before.device_key);
  });
});
