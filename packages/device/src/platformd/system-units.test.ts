// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient, defineInterface, type MessageBus } from 'dbus-native';
import { PrivateBus } from '../testing/private-bus.ts';
import { SystemUnits } from './system-units.ts';

const systemd = 'org.freedesktop.systemd1';
const policy = `<policy context="default"><allow own="${systemd}"/><allow send_destination="${systemd}"/></policy>`;

/** A system manager with one unit. */
async function serve(address: string): Promise<MessageBus> {
  const bus = createClient({ busAddress: address, authMethods: ['EXTERNAL'] });
  const path = '/org/freedesktop/systemd1/unit/mbl_2dapp_2dsensor_2eservice';
  const readable = (type: string, value: unknown) => ({ type, access: 'read', get: () => value }) as const;
  await bus.export(
    path,
    defineInterface({
      name: `${systemd}.Unit`,
      properties: {
        ActiveState: readable('s', 'active'),
        SubState: readable('s', 'running'),
        StateChangeTimestamp: readable('t', 1_800_000_000_123_456n),
      },
    }),
  );
  await bus.export(
    path,
    defineInterface({
      name: `${systemd}.Service`,
      properties: {
        Result: readable('s', 'success'),
        NRestarts: readable('u', 3),
        MemoryCurrent: readable('t', 0xffff_ffff_ffff_ffffn),
        ExecMainCode: readable('i', 0),
        ExecMainStatus: readable('i', 0),
      },
    }),
  );
  await bus.ownName(systemd, 4);
  return bus;
}

test('the state of a unit comes over the bus, and is unknown where nobody says it', async () => {
  await using bus = await PrivateBus.start(policy);
  await using units = new SystemUnits(bus.address);
  assert.equal(await units.read('mbl-app-sensor.service'), undefined);
  const manager = await serve(bus.address);
  assert.deepEqual(await units.read('mbl-app-sensor.service'), {
    activeState: 'active',
    subState: 'running',
    since: 1_800_000_000_123,
    result: 'success',
    restarts: 3,
    memory: 0,
    code: 0,
    status: 0,
  });
  assert.equal(await units.read('mbl-app-other.service'), undefined);
  await manager.close();
  await bus.stop();
  assert.equal(await units.read('mbl-app-sensor.service'), undefined);
});
