// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { eventually, FakePlatform, KeptLog, TemporaryFolder } from '../../testing/support.ts';
import { httpRepository } from './repository.ts';
import { Updater } from './updater.ts';

const image = randomBytes(300_000);

/** An updater beside a web server that answers as the test says. */
async function updating(t: TestContext, respond: RequestListener, patience = 60_000) {
  const folder = new TemporaryFolder();
  const server = createServer(respond).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const device = join(folder.path, 'root_b');
  writeFileSync(device, Buffer.alloc(400_000, 0xa5));
  const platform = new FakePlatform();
  platform.components = [
    { name: 'root', path: 'targets/root.img', device, size: image.length, sha256: '00', rootHash: '' },
  ];
  const kept = new KeptLog();
  const updater = new Updater({
    platform,
    repository: httpRepository({
      service: { url: 'https://127.0.0.1:1', serverName: '', trust: '' },
      stallMs: 200,
    }),
    log: kept.log,
    timing: { retryFirst: 1, retryMax: 20, patience },
    now: Date.now,
    changed: () => undefined,
  });
  t.after(async () => {
    await updater[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
    folder[Symbol.dispose]();
  });
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mirror#1.1`;
  return { updater, platform, device, uri, kept };
}

const repository: RequestListener = (request, response) => {
  if (request.url === '/mirror/metadata/timestamp.json') response.end('signed');
  else if (request.url === '/mirror/targets/root.img') response.end(image);
  else response.writeHead(404).end();
};

test('a release comes to the idle slot, and starts when it is told to', async (t) => {
  const { updater, platform, device, uri } = await updating(t, repository);
  updater.begin(uri);
  assert.equal(updater.status.state, 'downloading');
  await assert.rejects(updater.install(), { code: 'device/not-downloaded' });
  await eventually(() => updater.status.state === 'downloaded');
  assert.ok(readFileSync(device).subarray(0, image.length).equals(image));
  assert.equal(readFileSync(device)[image.length], 0xa5, 'nothing behind it is written');
  assert.equal(updater.status.release, '1.1');
  await updater.install();
  assert.equal(platform.reboots, 1);
  assert.equal(updater.status.state, 'updating');
  assert.throws(() => updater.begin(uri), { code: 'device/updating' });
  platform.update = { state: 'confirmed', release: '1.1', reason: '', detail: '' };
  await updater.look();
  assert.equal(updater.status.result, 'success');
});

test('a server that breaks off, stalls and fails is asked again', async (t) => {
  let asked = 0;
  const { updater, device, uri } = await updating(t, (request, response) => {
    if (request.url?.includes('root.img') !== true) return repository(request, response);
    asked++;
    if (asked === 1) response.writeHead(503).end();
    else if (asked === 2) response.writeHead(200).write(image.subarray(0, 1000), () => response.destroy());
    else if (asked === 3) response.writeHead(200).write(image.subarray(0, 1000));
    else response.end(image);
  });
  updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  assert.equal(asked, 4);
  assert.ok(readFileSync(device).subarray(0, image.length).equals(image));
});

test('what the platform refuses is not asked for again', async (t) => {
  const { updater, uri, device } = await updating(t, (request, response) => {
    if (request.url?.includes('metadata') === true) response.end('forged');
    else repository(request, response);
  });
  updater.begin(uri);
  await eventually(() => updater.status.state === 'idle');
  assert.equal(updater.status.result, 'integrityCheckFailure');
  assert.equal(updater.status.detail, 'nobody signed it');
  assert.equal(updater.status.reason, 'update/signature-invalid');
  assert.ok(
    readFileSync(device).every((byte) => byte === 0xa5),
    'nothing is written',
  );
});

test('a slot that does not hold what was signed is not started', async (t) => {
  const { updater, uri, platform } = await updating(t, repository);
  platform.slotFault = 'slot b does not hold the root of 1.1';
  updater.begin(uri);
  await eventually(() => updater.status.result === 'integrityCheckFailure');
  assert.equal(updater.status.reason, 'update/slot-mismatch');
  await assert.rejects(updater.install(), { code: 'device/not-downloaded' });
  assert.equal(platform.reboots, 0);
});

test('a server that stays away ends the download after a while', async (t) => {
  const { updater, uri } = await updating(t, (_request, response) => void response.destroy(), 50);
  updater.begin(uri);
  await eventually(() => updater.status.result === 'connectionLost', 60_000);
  assert.equal(updater.status.reason, 'update/mirror-unreachable');
});

test('more bytes than were signed are not read', async (t) => {
  const { updater, uri, device } = await updating(
    t,
    (request, response) => {
      if (request.url?.includes('root.img') !== true) return repository(request, response);
      response.write(image);
      response.end(Buffer.alloc(100_000));
    },
    50,
  );
  updater.begin(uri);
  await eventually(() => updater.status.result === 'connectionLost', 60_000);
  assert.ok(
    readFileSync(device)
      .subarray(image.length)
      .every((byte) => byte === 0xa5),
  );
});

test('a URI that names no release is refused; another one takes the place of what is on its way', async (t) => {
  const { updater, uri } = await updating(t, (request, response) => {
    if (request.url?.startsWith('/mirror/') === true) repository(request, response);
  });
  updater.begin(uri.replace('#1.1', ''));
  await eventually(() => updater.status.result === 'invalidUri');
  updater.begin(uri.replace('/mirror', '/silent'));
  updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  updater.begin('');
  assert.equal(updater.status.state, 'idle');
});

test('an order that the platform does not carry out leads back to what is there, and can be given again', async (t) => {
  const { updater, uri, platform } = await updating(t, repository);
  updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  platform.startTrial = () => Promise.reject(new Error('no release was checked'));
  await assert.rejects(updater.install(), /no release was checked/);
  assert.equal(updater.status.state, 'downloaded');
  assert.equal(updater.status.result, 'failed');
  assert.equal(updater.status.reason, 'update/failed');
  platform.checkRelease = ({ release }) =>
    Promise.resolve({
      missing: '',
      refused: 'its term has ended',
      reason: 'update/metadata-expired',
      name: release,
      components: [],
    });
  await assert.rejects(updater.install(), /its term has ended/);
  assert.equal(updater.status.reason, 'update/metadata-expired', 'judged once more before it starts');
  const sound = new FakePlatform();
  platform.checkRelease = (given) => sound.checkRelease(given);
  platform.startTrial = () => Promise.resolve();
  await updater.install();
  assert.equal(platform.reboots, 1);
});

test('what was asked of the platform before an order says nothing of it', async (t) => {
  const { updater, uri, platform } = await updating(t, repository);
  platform.update = { state: 'confirmed', release: '1.0', reason: '', detail: '' };
  await updater.look();
  assert.equal(updater.status.result, 'success');
  updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  await updater.install();
  await updater.look();
  assert.equal(updater.status.state, 'updating');
  assert.equal(updater.status.release, '1.1');
});

test('reading all that is told of an update asks the platform once', async (t) => {
  const { updater, platform } = await updating(t, repository);
  let asked = 0;
  platform.getUpdate = () => {
    asked += 1;
    return Promise.resolve({ state: 'none', release: '', reason: '', detail: '' });
  };
  await Promise.all(Array.from({ length: 8 }, () => updater.known()));
  assert.equal(asked, 1);
});

test('a release that waits for the one that runs is asked for again', async (t) => {
  const { updater, uri, platform } = await updating(t, repository);
  let early = true;
  platform.checkRelease = (given) => {
    if (early && given.metadata.length > 0) {
      early = false;
      const plan = { missing: '', refused: 'not yet', name: given.release, components: [] };
      return Promise.resolve({ ...plan, reason: 'update/not-proved' });
    }
    return FakePlatform.prototype.checkRelease.call(platform, given);
  };
  updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  assert.equal(early, false);
});

test('a restart that nobody hears is ordered again', async (t) => {
  const { updater, uri, platform } = await updating(t, repository);
  updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  let orders = 0;
  platform.reboot = () => (++orders < 3 ? Promise.reject(new Error('the bus is gone')) : Promise.resolve());
  await updater.install();
  assert.equal(orders, 3);
});

test('a URI that cannot be one says so at once', async (t) => {
  const { updater, uri } = await updating(t, repository);
  for (const [wrong, result] of [
    [uri.replace('#1.1', '#%zz'), 'invalidUri'],
    ['coap://10.0.2.2/releases/#1.1', 'unsupportedProtocol'],
  ] as const) {
    updater.begin(wrong);
    await eventually(() => updater.status.result === result, 60_000);
  }
  // It stays with its host, which has nothing there.
  updater.begin(uri.replace('/mirror', '//mirror'));
  await eventually(() => updater.status.result === 'integrityCheckFailure', 60_000);
});
