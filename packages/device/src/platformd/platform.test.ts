// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { MblError } from '@mbl/trust';
import { connectPlatform } from '../cloud-client/platform-client.ts';
import { PrivateBus } from '../testing/private-bus.ts';
import { FakePlatform, KeptLog, TemporaryFolder } from '../testing/support.ts';
import { platformName, platformPath } from '../platform/contract.ts';
import { runPlatform } from './main.ts';
import { PlatformService } from './service.ts';

const run = promisify(execFile);

test('the client gets over the bus what the platform says', async () => {
  await using bus = await PrivateBus.start();
  const platform = new FakePlatform();
  const kept = new KeptLog();
  await using service = new PlatformService(platform, bus.address, kept.log);
  await service.start();
  await using client = connectPlatform(bus.address);
  assert.deepEqual(await client.getMemory(), await platform.getMemory());
  assert.deepEqual(await client.getNetwork(), await platform.getNetwork());
  assert.deepEqual(await client.getBoot(), { slot: 'a', attempts: 1 });
  platform.incidents = [
    { id: 'data-made-00000001', kind: 'data-made', detail: 'a b' },
    { id: 'watchdog-00000002', kind: 'watchdog', detail: '' },
  ];
  assert.deepEqual(await client.getIncidents(), platform.incidents);
  await client.forgetIncidents({ ids: ['data-made-00000001'] });
  assert.deepEqual(
    platform.incidents.map(({ id }) => id),
    ['watchdog-00000002'],
  );
  await client.reboot();
  assert.equal(platform.reboots, 1);
  platform.fail = true;
  await assert.rejects(client.getMemory(), {
    code: 'device/platform-unavailable',
    message: /the bus is gone/,
  });
  assert.match(kept.lines.at(-1) ?? '', /^call failed method=GetMemory/);
});

test('what is not of its shape is refused on both sides', async () => {
  await using bus = await PrivateBus.start();
  const platform = new FakePlatform();
  await using service = new PlatformService(platform, bus.address, new KeptLog().log);
  await service.start();
  await using client = connectPlatform(bus.address);
  platform.incidents = Array.from({ length: 257 }, () => ({ id: 'x', kind: 'x', detail: '' }));
  await assert.rejects(client.getIncidents(), { code: 'device/platform-malformed' });
  platform.incidents = [{ id: 'x'.repeat(5000), kind: '', detail: '' }];
  await assert.rejects(client.getIncidents(), { code: 'device/platform-malformed' });
  const ids = Array.from({ length: 257 }, (_, n) => `watchdog-${n}`);
  await assert.rejects(client.forgetIncidents({ ids }), {
    code: 'device/platform-unavailable',
    message: /an argument of ForgetIncidents is not of its type/,
  });
  assert.equal(platform.incidents.length, 1);
});

test('the whole process on this machine: memory, addresses, a restart asked for by a file; it ends with its bus', async () => {
  await using bus = await PrivateBus.start();
  using folder = new TemporaryFolder();
  const kept = new KeptLog();
  const file = join(folder.path, 'reboot');
  const done = runPlatform(
    ['--bus', bus.address, '--reboot-file', file],
    kept.log,
    new AbortController().signal,
  );
  await kept.until(/^platform ready name=com\.mbl\.Platform1/);
  {
    await using client = connectPlatform(bus.address);
    const memory = await client.getMemory();
    assert.ok(memory.total > memory.available && memory.available > 0);
    const network = await client.getNetwork();
    const outside = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    const expected = outside.filter(({ internal }) => !internal).map(({ address }) => address);
    for (const address of expected) {
      assert.ok(
        network.interfaces.some(({ addresses }) => addresses.includes(address)),
        address,
      );
    }
    assert.equal(existsSync(file), false);
    await client.reboot();
    assert.equal(existsSync(file), true);
  }
  await bus.stop();
  assert.equal(await done, 1);
  await kept.until(/^bus lost/);
});

test('a second owner of the name is refused, and a missing bus is an error', async () => {
  await using bus = await PrivateBus.start();
  const { log } = new KeptLog();
  await using first = new PlatformService(new FakePlatform(), bus.address, log);
  await first.start();
  await using second = new PlatformService(new FakePlatform(), bus.address, log);
  await assert.rejects(second.start(), { code: 'device/bus-failed', message: /somebody else/ });
  await using nowhere = new PlatformService(new FakePlatform(), 'unix:path=/nowhere', log);
  await assert.rejects(nowhere.start(), { code: 'device/bus-failed' });
});

test('a client without platform or bus fails, and works when they come back', async () => {
  await using bus = await PrivateBus.start();
  await using client = connectPlatform(bus.address);
  await assert.rejects(
    client.getMemory(),
    (error) => error instanceof MblError && error.code === 'device/platform-unavailable',
  );
  await using service = new PlatformService(new FakePlatform(), bus.address, new KeptLog().log);
  await service.start();
  assert.equal((await client.getMemory()).total, 1024 ** 3);
  await using nobody = connectPlatform('unix:path=/nowhere');
  await assert.rejects(nobody.getMemory(), { code: 'device/platform-unavailable' });
  await assert.rejects(nobody.getMemory(), { code: 'device/platform-unavailable' });
});

test("the image's policy keeps other users away", {
  skip: process.getuid?.() !== 0 && 'needs root',
}, async () => {
  await using bus = await PrivateBus.start();
  await using service = new PlatformService(new FakePlatform(), bus.address, new KeptLog().log);
  await service.start();
  const call = [
    '--bus=' + bus.address,
    '--print-reply',
    `--dest=${platformName}`,
    platformPath,
    `${platformName}.Reboot`,
  ];
  await run('dbus-send', call);
  await assert.rejects(run('dbus-send', call, { uid: 65534, gid: 65534 }), /AccessDenied/);
});
