// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { eventually, FakePlatform } from '../../testing/support.ts';
import { updating } from '../../testing/updating.ts';

const isPayload = (request: { url?: string | undefined }): boolean =>
  request.url?.endsWith('payload') === true;

test('a release comes to the idle slot, and starts when it is told to', async (t) => {
  const { updater, platform, device, uri, whole, files, given, asked } = await updating(t);
  void updater.begin(uri);
  assert.equal(updater.status.state, 'downloading');
  await assert.rejects(updater.install(), { code: 'device/not-downloaded' });
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  assert.ok(readFileSync(device).subarray(0, whole.length).equals(whole));
  assert.equal(readFileSync(device)[whole.length], 0xa5, 'nothing behind it is written');
  assert.equal(updater.status.release, '1.1');
  const payload = given.get('targets/root.payload') ?? 0;
  assert.ok(
    payload < (files.get('targets/root.payload')?.length ?? 0) / 10,
    `${payload} bytes of the payload`,
  );
  assert.equal(updater.status.fetched, updater.status.toFetch);
  const sum = [...given.values()].reduce((all, bytes) => all + bytes, 0);
  assert.ok(
    updater.status.fetched >= sum && updater.status.fetched <= sum + asked() * 768,
    `${updater.status.fetched} said, ${sum} given in ${asked()} requests`,
  );
  await updater.install();
  assert.equal(platform.reboots, 1);
  assert.equal(updater.status.state, 'updating');
  assert.throws(() => updater.begin(uri), { code: 'device/updating' });
  platform.update = { state: 'confirmed', release: '1.1', reason: '', detail: '' };
  await updater.look();
  assert.equal(updater.status.result, 'success');
});

test('a server that breaks off, stalls, drips and fails is asked again', async (t) => {
  let asked = 0;
  const { updater, device, uri, whole } = await updating(t, {
    respond(request, response) {
      if (!isPayload(request)) return;
      asked++;
      const headers = { 'content-range': `bytes ${request.headers.range?.slice(6)}/99999999` };
      if (asked === 1) response.writeHead(503).end();
      else if (asked === 2)
        response.writeHead(206, headers).write(Buffer.alloc(100), () => response.destroy());
      else if (asked === 3) response.writeHead(206, headers).write(Buffer.alloc(100));
      else if (asked === 4) {
        response.writeHead(206, headers);
        const drip = setInterval(() => response.write('x'), 20);
        response.once('close', () => clearInterval(drip));
      } else return;
      return true;
    },
  });
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  assert.ok(asked > 4);
  assert.ok(readFileSync(device).subarray(0, whole.length).equals(whole));
});

test('what a restart broke off goes on by itself, from what is in the slot', async (t) => {
  let cut = true;
  const { updater, start, uri, files, given, device, whole, component, kept } = await updating(t, {
    respond: (request, response) => {
      // The first frames come, and then the client ends.
      if (!cut || !isPayload(request) || (given.get('targets/root.payload') ?? 0) < 200_000) return;
      return Boolean(response);
    },
  });
  // Nothing to copy from: all is fetched, a megabyte a request.
  writeFileSync(component.running, Buffer.alloc(4096));
  writeFileSync(device, Buffer.alloc(400 * 4096, 0xa5));
  await updater.begin(uri);
  await eventually(() => (given.get('targets/root.payload') ?? 0) >= 200_000, 60_000);
  await eventually(() => updater.status.detail !== '', 60_000);
  await updater[Symbol.asyncDispose]();
  cut = false;
  const again = await start();
  assert.equal(again.memory.uri, uri);
  await again.updater.look();
  await eventually(() => again.updater.status.state === 'downloaded', 60_000);
  assert.ok(readFileSync(device).subarray(0, whole.length).equals(whole));
  const size = files.get('targets/root.payload')?.length ?? 0;
  assert.ok(
    (given.get('targets/root.payload') ?? 0) < size * 2,
    `${given.get('targets/root.payload')} of ${size}`,
  );
  assert.ok(kept.lines.some((line) => line.startsWith('update ready release=1.1')));
  // What is started is not brought again by itself: it may be no good.
  await again.updater.install();
  const third = await start();
  third.platform.update = {
    state: 'fell-back',
    release: '1.1',
    reason: 'update/unhealthy',
    detail: 'no sensor answers',
  };
  await third.updater.look();
  assert.equal(third.updater.status.reason, 'update/unhealthy');
  assert.equal(third.updater.status.state, 'idle');
});

test('a budget is kept to, and one that does not suffice is said with what it takes', async (t) => {
  const { updater, memory, uri, given, device } = await updating(t);
  await memory.keep({ budget: 9_000 });
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'idle', 60_000);
  assert.equal(updater.status.reason, 'update/over-budget');
  assert.equal(updater.status.result, 'failed');
  assert.ok([...given.values()].reduce((all, bytes) => all + bytes, 0) <= 9_000);
  assert.ok(readFileSync(device).every((byte) => byte === 0xa5));
  const needed = Number(/needs at least (\d+) bytes/.exec(updater.status.detail)?.[1]);
  assert.ok(needed > 9_000, updater.status.detail);
  await memory.keep({ budget: needed + 20_000 });
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  assert.ok(updater.status.fetched <= needed + 20_000);
});

test('a mirror that lies is found out and named', async (t) => {
  const lie = (files: Map<string, Buffer>, path: string, at: number): void => {
    const bytes = Buffer.from(files.get(path) ?? '');
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    files.set(path, bytes);
  };
  // Frames, digests, index, map.
  for (const [path, at, wrong] of [
    ['targets/root.payload', 0, /wrong blocks|is not the release/],
    ['targets/root.payload', -1, /is not the release/],
  ] as const) {
    const { updater, uri, files, whole, device } = await updating(t);
    lie(files, path, at < 0 ? (files.get(path)?.length ?? 0) + at : at);
    void updater.begin(uri);
    await eventually(() => updater.status.state === 'idle', 60_000);
    assert.equal(updater.status.reason, 'update/mirror-mismatch');
    assert.match(updater.status.detail, wrong);
    assert.match(updater.status.detail, /127\.0\.0\.1/);
    assert.ok(!readFileSync(device).subarray(0, whole.length).equals(whole));
  }
  const { updater, uri, files, whole, device, kept } = await updating(t);
  lie(files, 'targets/map', 80);
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  assert.ok(readFileSync(device).subarray(0, whole.length).equals(whole), 'a map that lies costs bytes');
  assert.ok(
    kept.lines.some((line) => /copy map|source wrong/.test(line)),
    kept.lines.join('\n'),
  );
});

test('what the platform refuses is not asked for again', async (t) => {
  const { updater, uri, device } = await updating(t, {
    respond(request, response) {
      if (request.url?.includes('metadata') !== true) return;
      response.end('forged');
      return true;
    },
  });
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'idle', 60_000);
  assert.equal(updater.status.result, 'integrityCheckFailure');
  assert.equal(updater.status.detail, 'nobody signed it');
  assert.equal(updater.status.reason, 'update/signature-invalid');
  assert.ok(
    readFileSync(device).every((byte) => byte === 0xa5),
    'nothing is written',
  );
});

test('a slot that does not hold what was signed is not started', async (t) => {
  const { updater, uri, platform } = await updating(t);
  platform.slotFault = 'slot b does not hold the root of 1.1';
  void updater.begin(uri);
  await eventually(() => updater.status.result === 'integrityCheckFailure');
  assert.equal(updater.status.reason, 'update/slot-mismatch');
  await assert.rejects(updater.install(), { code: 'device/not-downloaded' });
  assert.equal(platform.reboots, 0);
});

test('a server that stays away ends the download after a while', async (t) => {
  const { updater, uri } = await updating(t, {
    patience: 50,
    respond: (_request, response) => Boolean(response.destroy()),
  });
  void updater.begin(uri);
  await eventually(() => updater.status.result === 'connectionLost', 60_000);
  assert.equal(updater.status.reason, 'update/mirror-unreachable');
});

test('a URI that names no release is refused; another one takes the place of what is on its way', async (t) => {
  const { updater, uri } = await updating(t, {
    respond: (request) => request.url?.startsWith('/mirror/') !== true,
  });
  void updater.begin(uri.replace('#1.1', ''));
  await eventually(() => updater.status.result === 'invalidUri');
  void updater.begin(uri.replace('/mirror', '/silent'));
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  void updater.begin('');
  assert.equal(updater.status.state, 'idle');
});

test('an order that the platform does not carry out leads back to what is there, and can be given again', async (t) => {
  const { updater, uri, platform } = await updating(t);
  void updater.begin(uri);
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
  const { updater, uri, platform } = await updating(t);
  platform.update = { state: 'confirmed', release: '1.0', reason: '', detail: '' };
  await updater.look();
  assert.equal(updater.status.result, 'success');
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  await updater.install();
  await updater.look();
  assert.equal(updater.status.state, 'updating');
  assert.equal(updater.status.release, '1.1');
});

test('reading all that is told of an update asks the platform once', async (t) => {
  const { updater, platform } = await updating(t);
  let asked = 0;
  platform.getUpdate = () => {
    asked += 1;
    return Promise.resolve({ state: 'none', release: '', reason: '', detail: '' });
  };
  await Promise.all(Array.from({ length: 8 }, () => updater.known()));
  assert.equal(asked, 1);
});

test('a release that waits for the one that runs is asked for again', async (t) => {
  const { updater, uri, platform } = await updating(t);
  let early = true;
  platform.checkRelease = (given) => {
    if (early && given.metadata.length > 0) {
      early = false;
      const plan = { missing: '', refused: 'not yet', name: given.release, components: [] };
      return Promise.resolve({ ...plan, reason: 'update/not-proved' });
    }
    return FakePlatform.prototype.checkRelease.call(platform, given);
  };
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  assert.equal(early, false);
});

test('a restart that nobody hears is ordered again', async (t) => {
  const { updater, uri, platform } = await updating(t);
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  let orders = 0;
  platform.reboot = () => (++orders < 3 ? Promise.reject(new Error('the bus is gone')) : Promise.resolve());
  await updater.install();
  assert.equal(orders, 3);
});

test('a URI that cannot be one says so at once', async (t) => {
  const { updater, uri } = await updating(t);
  for (const [wrong, result] of [
    [uri.replace('#1.1', '#%zz'), 'invalidUri'],
    ['coap://10.0.2.2/releases/#1.1', 'unsupportedProtocol'],
  ] as const) {
    void updater.begin(wrong);
    await eventually(() => updater.status.result === result, 60_000);
  }
  // It stays with its host, which has nothing there.
  void updater.begin(uri.replace('/mirror', '//mirror'));
  await eventually(() => updater.status.result === 'integrityCheckFailure', 60_000);
});

test('a release starts though the board has seen newer metadata since it was brought, if it is in that too', async (t) => {
  const { updater, platform, uri, files } = await updating(t);
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  platform.older = 'signed';
  await assert.rejects(updater.install(), { details: { reason: 'update/metadata-rolled-back' } });
  assert.equal(updater.status.state, 'downloaded');
  files.set('metadata/timestamp.json', Buffer.from('signed anew'));
  await updater.install();
  assert.equal(platform.reboots, 1);
});

test('metadata that became old while the rest of it was fetched is fetched once more', async (t) => {
  let asked = 0;
  const world = await updating(t, {
    respond(request, response) {
      if (request.url?.endsWith('timestamp.json') !== true) return;
      asked++;
      if (asked > 1) return;
      response.once('finish', () => {
        world.platform.older = 'signed';
        world.files.set('metadata/timestamp.json', Buffer.from('signed anew'));
      });
    },
  });
  await world.updater.begin(world.uri);
  await eventually(() => world.updater.status.state === 'downloaded', 60_000);
  assert.equal(asked, 2);
  // A mirror that stays behind is not asked for ever.
  world.platform.older = 'signed anew';
  await world.updater.begin(world.uri);
  await eventually(() => world.updater.status.state === 'idle', 60_000);
  assert.equal(world.updater.status.reason, 'update/metadata-rolled-back');
});

test('what an order says that was replaced meanwhile is no news of the one in its place', async (t) => {
  const { updater, uri, platform } = await updating(t);
  const asked = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const sound = new FakePlatform();
  platform.checkRelease = async (given) => {
    asked.resolve();
    await held.promise;
    const plan = await sound.checkRelease({ ...given, metadata: [{ name: '', content: 'signed' }] });
    return { ...plan, missing: '', name: 'of the order before' };
  };
  void updater.begin(uri);
  await asked.promise;
  const reception = updater.receive();
  held.resolve();
  await reception.ready;
  const { state, release } = updater.status;
  reception.end(undefined);
  assert.deepEqual([state, release], ['downloading', '']);
});
