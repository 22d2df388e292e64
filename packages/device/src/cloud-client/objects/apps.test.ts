// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeService } from '../../testing/fake-service.ts';
import { Running } from '../../testing/running-agent.ts';
import { eventually, TemporaryFolder } from '../../testing/support.ts';

const status = (more: object = {}) => ({
  team: 'weather',
  release: '1.0',
  running: '1.0',
  state: 'running',
  reason: '',
  detail: '',
  fetched: 0,
  toFetch: 0,
  ...more,
});
const app = (more: object = {}) => ({
  name: 'sensor',
  team: 'weather',
  release: '1.0',
  version: '1.0',
  state: 'running',
  since: 0,
  restarts: 0,
  memory: 1,
  reason: '',
  detail: '',
  ...more,
});
const document = (release: object, one: object) =>
  JSON.stringify({ version: 1, releases: [release], apps: [one] });

test('the service writes which apps there are to be, and sees and observes how they do', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  const desired = '{"version":1,"releases":[{"team":"weather","release":"1.0"}]}';
  {
    await using device = new Running(service, folder.path);
    await device.kept.until(/^registered /);
    const [registration] = service.registrations;
    assert.ok(registration);
    const read = async (path: string) => (await registration.read(path)).map(({ value }) => value);
    device.platform.apps = document(status(), app());
    assert.deepEqual(await read('/33402/0/0'), ['{"version":1,"releases":[]}']);
    await registration.write('/33402/0/0', desired);
    assert.deepEqual(await read('/33402/0/0'), [desired]);
    await eventually(() => device.platform.desired.includes(desired));
    const seen: unknown[] = [];
    const observe = async (path: string) =>
      await registration.observe(path, (answer) => seen.push(...answer.nodes().map(({ value }) => value)));
    for (const path of ['/33402/0/1', '/33402/0/2']) assert.ok((await observe(path)).accepted);
    assert.deepEqual(await read('/33402/0/1'), [JSON.stringify(status())]);
    assert.deepEqual(await read('/33402/0/2'), [JSON.stringify(app())]);
    const failed = app({ state: 'restarting', restarts: 1, reason: 'app/ended', detail: 'it ended' });
    device.platform.apps = document(status(), failed);
    await eventually(() => seen.includes(JSON.stringify(failed)), 60_000);
    for (const wrong of ['', '{}', '{"version":1,"releases":[{"team":"../x","release":"1"}]}'])
      await assert.rejects(registration.write('/33402/0/0', wrong), wrong);
    assert.deepEqual(await read('/33402/0/0'), [desired]);
    rmSync(folder.path, { recursive: true });
    await assert.rejects(registration.write('/33402/0/0', '{"version":1,"releases":[]}'));
    assert.deepEqual(await read('/33402/0/0'), [desired], 'what cannot be kept is not taken');
  }
});

test('what was kept is told to the platform again after a restart', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  const { AppMemory } = await import('../apps/memory.ts');
  await (await AppMemory.load(folder.path)).keep({ version: 1, releases: [] });
  await using device = new Running(service, folder.path);
  await eventually(() => device.platform.desired.length > 0, 60_000);
  assert.deepEqual(device.platform.desired, ['{"version":1,"releases":[]}']);
  assert.equal(join(folder.path, 'apps.json').length > 0, true);
});

test('an order to an app is handed on, and its answer is reported when it is there', async () => {
  await using service = await FakeService.start();
  using folder = new TemporaryFolder();
  await using device = new Running(service, folder.path);
  await device.kept.until(/^registered /);
  const [registration] = service.registrations;
  assert.ok(registration);
  const seen: unknown[] = [];
  await registration.observe('/33402/0/4', (answer) =>
    seen.push(...answer.nodes().map(({ value }) => value)),
  );
  const ask = '{"id":"0123456789abcdef","action":"run","name":"sensor","command":["/bin/ls"]}';
  await registration.write('/33402/0/3', ask);
  assert.deepEqual(device.platform.asks, [ask]);
  // As long as it may be, in characters of three bytes each.
  const answer = JSON.stringify({
    id: '0123456789abcdef',
    error: '',
    exit: 0,
    output: '\u2603'.repeat(8192),
  });
  device.platform.answers = [JSON.stringify({ id: 'f'.repeat(16), error: '' }), answer];
  await eventually(() => seen.includes(answer), 60_000);
  assert.deepEqual(
    (await registration.read('/33402/0/4')).map(({ value }) => value),
    device.platform.answers,
  );
  await assert.rejects(registration.write('/33402/0/3', '{"id":"x","action":"run","name":"sensor"}'));
  assert.equal(device.platform.asks.length, 1);
});
