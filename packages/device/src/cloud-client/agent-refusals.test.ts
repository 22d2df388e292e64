// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeService } from '../testing/fake-service.ts';
import { name, Running } from '../testing/running-agent.ts';
import { StrictServer } from '../testing/strict-server.ts';
import { TemporaryFolder } from '../testing/support.ts';

test('a refused enrolment is logged with what the service said and what is to be done, and tried again', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  service.behaviour.estStatus = 403;
  await using device = new Running(service, folder.path);
  const said = /^enrolment refused reason="no certificate for you" waits="until .*: (.*)" retryMs=\d+$/;
  const line = await device.kept.until(said, 2);
  assert.equal(said.exec(line)?.[1], `mbl device enrol ${name} --again`);
  delete service.behaviour.estStatus;
  await device.kept.until(/^registered /);
});

test('a device whose certificate counts no more asks for another with its code, for the same key', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  {
    await using device = new Running(service, folder.path);
    await device.kept.until(/^registered /);
  }
  service.behaviour.refuseAs = 'expired-certificate';
  service.behaviour.estStatus = 403;
  await using device = new Running(service, folder.path);
  // By turns: the service may take the certificate again, or the code.
  await device.kept.until(/^connection failed reason=".*expired-certificate: go away" retryMs=\d+$/, 2);
  await device.kept.until(/^enrolment refused .*mbl device enrol mbl-board-1 --again/, 2);
  delete service.behaviour.estStatus;
  await device.kept.until(/^enrolled /, 2);
  service.behaviour.refuseAs = undefined;
  await device.kept.until(/^registered /);
  assert.equal(new Set(service.issued).size, 1, 'one key');

  // A revoked one is its owner's last word.
  const asked = service.requests.length;
  service.behaviour.refuseAs = 'revoked-certificate';
  await service.crash();
  await service.listen();
  await device.kept.until(/^connection failed reason=".*revoked-certificate: go away"/, 3);
  assert.equal(service.requests.length, asked);
});

test('a refused registration is logged with its code, and tried again', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  service.behaviour.registerStatus = 131;
  await using device = new Running(service, folder.path);
  await device.kept.until(/^registration refused reason=.*4\.03.* retryMs=\d+$/, 2);
  delete service.behaviour.registerStatus;
  await device.kept.until(/^registered /);
});

test("a foreign certificate: the service's TLS alert is logged as a refusal", async () => {
  await using service = await FakeService.start();
  await using other = await FakeService.start();
  using folder = new TemporaryFolder();
  {
    await using device = new Running(other, folder.path);
    await device.kept.until(/^registered /);
  }
  for (const version of ['-tls1_2', '-tls1_3']) {
    await using strict = await StrictServer.start(service.tls, version);
    const factory = JSON.parse(service.factory(name));
    factory.service.lwm2m = `coaps+tcp://127.0.0.1:${strict.port}`;
    await using device = new Running(service, folder.path, { factory: JSON.stringify(factory) });
    await device.kept.until(/^registration refused reason="alert unknown ca" retryMs=\d+$/, 2);
  }
});

test('a service whose certificate another authority signed is not talked to', async () => {
  await using service = await FakeService.start();
  await using other = await FakeService.start();
  using folder = new TemporaryFolder();
  const factory = service.factory(name, { trust: other.tls.ca });
  await using device = new Running(service, folder.path, { factory });
  await device.kept.until(/^enrolment failed reason=.*certificate/);
  assert.equal(service.requests.length, 0);
});

test('a service whose certificate bears another name is not talked to', async () => {
  await using service = await FakeService.start(['somebody.else', '127.0.0.1']);
  using folder = new TemporaryFolder();
  await using device = new Running(service, folder.path);
  await device.kept.until(/^enrolment failed reason=.*service\.mbl\.internal/);
  assert.equal(service.requests.length, 0);
});
