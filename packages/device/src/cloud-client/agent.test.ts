// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Code } from '@mbl/coap';
import { keyFingerprint } from '@mbl/trust';
import { code, deviceId, FakeService } from '../testing/fake-service.ts';
import { name, Running } from '../testing/running-agent.ts';
import { eventually, TemporaryFolder } from '../testing/support.ts';
import { loadSettings } from './settings.ts';

test('a new device makes a key, enrols with its code, registers, and deregisters when stopped', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  {
    await using device = new Running(service, folder.path);
    await device.kept.until(/^registered device=0199aabbccdd00112233445566778899 endpoint=mbl-board-1 /);
    assert.match(
      await device.kept.until(/^enrolled /),
      new RegExp(`^enrolled device=${deviceId} endpoint=mbl-board-1`),
    );
  }
  const [request] = service.requests;
  assert.equal(request?.url, '/.well-known/est/simpleenroll');
  assert.equal(request?.authorization, `Basic ${Buffer.from(`${name}:${code}`).toString('base64')}`);
  assert.deepEqual(request?.subject, { commonName: name });
  assert.deepEqual(service.alpn, ['coap']);
  assert.deepEqual(service.farewells, ['deregistered']);
  assert.equal(service.registrations[0]?.parameters.get('keys'), 'development');
  const keyFile = join(folder.path, 'key.pem');
  assert.equal(statSync(keyFile).mode & 0o777, 0o600);
  const key = createPrivateKey(readFileSync(keyFile));
  assert.equal(key.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.deepEqual(service.issued, [keyFingerprint(createPublicKey(key))]);
});

test('a device that starts again keeps its identity', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  for (const _start of [1, 2]) {
    await using device = new Running(service, folder.path);
    await device.kept.until(/^registered /);
  }
  assert.equal(service.issued.length, 1);
  assert.equal(service.registrations.length, 2);
  assert.deepEqual(service.registrations[0]?.identity.raw, service.registrations[1]?.identity.raw);
});

test('the service reads, observes and executes every object, and never sees object 0', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  await using device = new Running(service, folder.path);
  await device.kept.until(/^registered /);
  const [registration] = service.registrations;
  assert.ok(registration);
  const paths = registration.paths.map((path) => path.join('/'));
  assert.deepEqual(paths.filter((path) => path.includes('/')).toSorted(), [
    '1/0',
    '14/0',
    '14/1',
    '14/2',
    '3/0',
    '33400/0',
    '33401/0',
    '33402/0',
    '4/0',
    '5/0',
  ]);
  const read = async (path: string) =>
    Object.fromEntries((await registration.read(path)).map((node) => [node.path.join('/'), node.value]));
  assert.deepEqual(await read('/14'), {
    '14/0/0': 'boot-firmware',
    '14/0/2': '2.12.1-measured',
    '14/1/0': 'kernel',
    '14/1/2': '6.12.118-1',
    '14/2/0': 'root',
    '14/2/2': '0.1.0',
  });
  const shown = await read('/3/0');
  assert.equal(shown['3/0/2'], name);
  assert.equal(shown['3/0/1'], 'qemu-arm64');
  assert.equal(shown['3/0/10'], 64 * 1024);
  assert.equal(shown['3/0/21'], 1024 * 1024);
  assert.ok(Math.abs(Number(shown['3/0/13']) - Date.now() / 1000) < 5);
  const network = await read('/4/0');
  assert.equal(network['4/0/0'], 41);
  assert.equal(network['4/0/4/0'], '10.0.2.15');
  assert.equal(network['4/0/5/0'], '10.0.2.2');
  await assert.rejects(registration.read('/0'));
  const seen: unknown[] = [];
  const observation = await registration.observe('/3/0/10', (answer) => seen.push(answer.nodes()[0]?.value));
  assert.equal(observation.accepted, true);
  device.platform.available = 32 * 1024 * 1024;
  // The platform's answer holds for a second.
  await eventually(() => seen.includes(32 * 1024));
  await registration.execute('/3/0/4');
  assert.equal(device.platform.reboots, 1);
  await assert.rejects(registration.execute('/3/0/5'));
  await assert.rejects(registration.write('/3/0/13', 0));
});

test('the service reads what the board had to do to come back, and has it forgotten', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  await using device = new Running(service, folder.path);
  device.platform.incidents = [
    { id: 'data-made-0123abcd', kind: 'data-made', detail: 'no file system' },
    { id: 'watchdog-00000002', kind: 'watchdog', detail: '' },
  ];
  await device.kept.until(/^registered /);
  const [registration] = service.registrations;
  assert.ok(registration);
  const read = async (path: string) =>
    Object.fromEntries((await registration.read(path)).map((node) => [node.path.join('/'), node.value]));
  assert.deepEqual(await read('/33400/0'), {
    '33400/0/0': 'a',
    '33400/0/1': 1,
    '33400/0/2/0': 'data-made-0123abcd data-made no file system',
    '33400/0/2/1': 'watchdog-00000002 watchdog',
    '33400/0/4': 'a',
    '33400/0/5': 'ab'.repeat(32),
    '33400/0/6': 'cd'.repeat(32),
  });
  await registration.execute('/33400/0/3', "0='data-made-0123abcd,watchdog-00000002'");
  await device.kept.until(/^incidents forgotten by=service count=2$/);
  assert.deepEqual(await read('/33400/0/2'), {});
  await assert.rejects(registration.execute('/33400/0/3'), { status: Code.BAD_REQUEST });
});

test('without a platform the device registers and only what the platform knows is missing', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  await using device = new Running(service, folder.path);
  device.platform.fail = true;
  await device.kept.until(/^registered /);
  const nodes = await service.registrations[0]?.read('/3/0');
  const ids = nodes?.map(({ path }) => path[2]);
  assert.ok(ids?.includes(2) && !ids.includes(10));
  await device.kept.until(/^platform unavailable reason="the bus is gone"/);
});

test('a lifetime that the server writes is kept across a restart', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  {
    await using device = new Running(service, folder.path);
    await device.kept.until(/^registered /);
    assert.equal(service.registrations[0]?.lifetime, 3600);
    await service.registrations[0]?.write('/1/0/1', 1234);
    // The answer says that it is kept.
    assert.deepEqual(await loadSettings(folder.path), { lifetime: 1234 });
    await eventually(() => service.registrations[0]?.lifetime === 1234);
  }
  await using device = new Running(service, folder.path);
  await device.kept.until(/^registered /);
  assert.equal(service.registrations[1]?.lifetime, 1234);
});

test('of many lifetimes that the server writes at once the last one is kept', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  const lifetimes = Array.from({ length: 20 }, (_, index) => 1000 + index);
  {
    await using device = new Running(service, folder.path);
    await device.kept.until(/^registered /);
    const [registration] = service.registrations;
    assert.ok(registration);
    await Promise.all(lifetimes.map((lifetime) => registration.write('/1/0/1', lifetime)));
    assert.deepEqual(
      device.kept.lines.filter((line) => line.startsWith('settings not saved')),
      [],
    );
  }
  assert.deepEqual(await loadSettings(folder.path), { lifetime: lifetimes.at(-1) });
});

test('a lifetime that cannot be kept is not taken on, and the service is told', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  await using device = new Running(service, folder.path);
  await device.kept.until(/^registered /);
  // What is written first lies there, and cannot be opened as a file.
  mkdirSync(join(folder.path, '.server.json.new'));
  const write = service.registrations[0]?.write('/1/0/1', 1234) ?? Promise.resolve();
  await assert.rejects(write, { status: Code.INTERNAL_SERVER_ERROR });
  await device.kept.until(/^settings not saved /);
  assert.equal(service.registrations[0]?.lifetime, 3600);
});

test('a lifetime that would end the registration is refused, and the device stays online', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  await using device = new Running(service, folder.path);
  await device.kept.until(/^registered /);
  const [registration] = service.registrations;
  assert.ok(registration);
  for (const lifetime of [0, -1, 59, 3e12]) {
    const write = registration.write('/1/0/1', lifetime);
    await assert.rejects(write, { status: Code.BAD_REQUEST }, `${lifetime}`);
  }
  // An update says the lifetime that the client believes in.
  await registration.execute('/1/0/8');
  assert.deepEqual(
    (await registration.read('/1/0/1')).map(({ value }) => value),
    [3600],
  );
  assert.equal(registration.lifetime, 3600);
  assert.equal(existsSync(join(folder.path, 'server.json')), false);
});

test('a device is back after the service crashed and started again', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  await using device = new Running(service, folder.path);
  await device.kept.until(/^registered /);
  await service.crash();
  await device.kept.until(/^connection lost reason=/);
  await device.kept.until(/^connection failed reason=.*ECONNREFUSED/);
  await service.listen();
  await device.kept.until(/^registered /, 2);
});

test('a device whose service is not there yet enrols when it comes, with one key', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  await service.crash();
  await using device = new Running(service, folder.path);
  await device.kept.until(/^enrolment failed reason=/, 2);
  await service.listen();
  await device.kept.until(/^registered /);
  assert.equal(device.kept.lines.filter((line) => line.startsWith('key created')).length, 1);
});

test('a lost answer is asked for again with the same key', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  service.behaviour.loseAnswers = 2;
  await using device = new Running(service, folder.path);
  await device.kept.until(/^registered /);
  assert.equal(service.issued.length, 3);
  assert.equal(new Set(service.issued).size, 1);
});

test('a device that believes it is 1970 enrols, registers and does not renew', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  await using device = new Running(service, folder.path, { now: () => 5000 });
  await device.kept.until(/^registered /);
  assert.equal(service.requests.length, 1);
});

test('a certificate near its end is renewed while connected, with the same key, and used at once', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  service.behaviour.notAfter = new Date(Date.now() + 60 * 86_400_000);
  let jump = 0;
  await using device = new Running(service, folder.path, { now: () => Date.now() + jump });
  await device.kept.until(/^registered /);
  service.behaviour.notAfter = new Date(Date.now() + 400 * 86_400_000);
  jump = 45 * 86_400_000;
  await device.kept.until(/^renewed device=/);
  await device.kept.until(/^registered /, 2);
  assert.equal(service.requests[1]?.url, '/.well-known/est/simplereenroll');
  assert.equal(service.requests[1]?.authorization, undefined);
  assert.equal(service.requests[1]?.subject.locality, deviceId);
  assert.equal(new Set(service.issued).size, 1);
  const [first, second] = service.registrations.map(({ identity }) => identity.validToDate.getTime());
  assert.ok((second ?? 0) > (first ?? 0));
});

test('a renewal that fails leaves the device online', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  service.behaviour.notAfter = new Date(Date.now() + 60 * 86_400_000);
  {
    await using device = new Running(service, folder.path);
    await device.kept.until(/^registered /);
  }
  service.behaviour.estStatus = 503;
  await using device = new Running(service, folder.path, { now: () => Date.now() + 45 * 86_400_000 });
  await device.kept.until(/^renewal failed reason=/);
  await device.kept.until(/^registered /);
});

test('a damaged key is put aside; the device asks for a new certificate', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  writeFileSync(join(folder.path, 'key.pem'), 'nonsense');
  await using device = new Running(service, folder.path);
  await device.kept.until(/^identity damaged reason=/);
  await device.kept.until(/^registered /);
  assert.equal(readFileSync(join(folder.path, 'key.pem.damaged'), 'utf8'), 'nonsense');
});
