// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { UpdateMemory } from '../cloud-client/update/memory.ts';
import { OrderDoor } from '../cloud-client/update/order-door.ts';
import { httpRepository } from '../cloud-client/update/repository.ts';
import { Updater } from '../cloud-client/update/updater.ts';
import { publishComponent } from '../testing/payload-server.ts';
import { eventually, FakePlatform, KeptLog, TemporaryFolder } from '../testing/support.ts';
import { updateByHand } from './main.ts';
import { LastOrder, readMedium } from './medium.ts';

/** A client's updater behind its door, and a folder with a repository that brings an image. */
async function board(t: TestContext) {
  const folder = new TemporaryFolder();
  const at = (path: string) => join(folder.path, path);
  for (const path of ['stick/metadata', 'kept', 'state']) mkdirSync(at(path), { recursive: true });
  writeFileSync(at('stick/metadata/timestamp.json'), 'signed');
  const { component, files, whole: image } = await publishComponent(at('state'));
  for (const [path, bytes] of files) {
    mkdirSync(dirname(at(`stick/${path}`)), { recursive: true });
    writeFileSync(at(`stick/${path}`), bytes);
  }
  const platform = new FakePlatform();
  platform.components = [component];
  const kept = new KeptLog();
  const door = new OrderDoor({ path: at('orders'), platform, log: kept.log, pause: 10 });
  const memory = await UpdateMemory.load(at('state'));
  const updater: Updater = new Updater({
    platform,
    memory,
    deferrals: { current: () => ({ app: 'sensor', reason: 'nobody at the board waits for it' }) },
    repository: httpRepository({
      service: { url: 'https://127.0.0.1:1', serverName: '', trust: '' },
      state: at('state'),
    }),
    log: kept.log,
    timing: { retryFirst: 1, retryMax: 20, patience: 60_000, deferralLook: 10 },
    now: Date.now,
    changed: () => door.changed(updater.status),
  });
  door.serve(updater);
  const stop = new AbortController();
  const running = door.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
    await updater[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });
  const give = async (args: readonly string[], signal = new AbortController().signal) => {
    const said: string[] = [];
    const places = [
      '--socket',
      at('orders'),
      '--registered',
      at('registered'),
      '--order-file',
      at('ordered'),
    ];
    const code = await updateByHand([...args, ...places], { say: (line) => said.push(line), signal });
    return { code, said: said.join('\n') };
  };
  return { at, platform, updater, memory, kept, give, image, device: component.device };
}

test('a folder brings a release, which starts; root says that nothing was registered', async (t) => {
  const { at, give, platform, kept, device, image } = await board(t);
  const { code, said } = await give(['1.1', at('stick')]);
  assert.equal(code, 0, said);
  assert.match(said, /1\.1 is in its slot: the board restarts into it/);
  assert.equal(platform.reboots, 1);
  assert.ok(readFileSync(device).subarray(0, image.length).equals(image));
  assert.equal(readFileSync(at('ordered'), 'utf8'), '1.1\n');
  assert.ok(kept.lines.some((line) => /update ordered by=hand release=1\.1/.test(line)));
  assert.equal(statSync(at('orders')).mode & 0o777, 0o660, 'nobody else may order');
});

test('what is read on the board costs none of the owner\u2019s bytes, and is not gone on with after a restart', async (t) => {
  const { at, give, memory } = await board(t);
  await memory.keep({ budget: 1, uri: 'http://mirror/#1.0' });
  const { code, said } = await give(['1.1', at('stick')]);
  assert.equal(code, 0, said);
  assert.deepEqual([memory.uri, memory.budget], ['', 1]);
});

test('of a device that is registered root says nothing', async (t) => {
  const { at, give } = await board(t);
  writeFileSync(at('registered'), '');
  writeFileSync(at('ordered'), '1.1\n');
  assert.equal((await give(['1.1', at('stick')])).code, 0);
  assert.ok(!existsSync(at('ordered')));
});

test('what the platform refuses is said, and nothing is written', async (t) => {
  const { at, give, platform, device } = await board(t);
  const before = readFileSync(device);
  writeFileSync(at('stick/metadata/timestamp.json'), 'forged');
  const { code, said } = await give(['1.1', at('stick')]);
  assert.deepEqual([code, said], [1, 'nobody signed it']);
  assert.ok(readFileSync(device).equals(before));
  assert.equal(platform.reboots, 0);
});

test('a link that leads out of the folder brings nothing', async (t) => {
  const { at, give } = await board(t);
  writeFileSync(at('secret'), 'signed');
  rmSync(at('stick/metadata/timestamp.json'));
  symlinkSync(at('secret'), at('stick/metadata/timestamp.json'));
  assert.equal((await give(['1.1', at('stick')])).code, 1);
});

test('who goes away ends the order; a second order takes the place of the first', async (t) => {
  const { at, give, platform, updater } = await board(t);
  const waits = { missing: '', refused: 'not yet', reason: 'update/not-proved', components: [] } as const;
  const sound = platform.checkRelease.bind(platform);
  platform.checkRelease = ({ release }) => Promise.resolve({ ...waits, name: release });
  const stop = new AbortController();
  const first = give(['1.0', at('stick')], stop.signal);
  await eventually(() => updater.status.detail === 'not yet', 60_000);
  stop.abort();
  assert.equal((await first).code, 1);
  await eventually(() => updater.status.state === 'idle', 60_000);
  const second = give(['1.0', at('stick')]);
  await eventually(() => updater.status.detail === 'not yet', 60_000);
  platform.checkRelease = sound;
  const third = await give(['1.1', at('stick')]);
  assert.equal(third.code, 0, third.said);
  assert.match((await second).said, /another release was ordered meanwhile/);
});

test('what is no order is refused', async (t) => {
  const { at, give, kept } = await board(t);
  await eventually(() => existsSync(at('orders')), 60_000);
  const ask = async (line: string): Promise<string> => {
    const socket = connect(at('orders'));
    socket.write(line);
    return await text(socket);
  };
  for (const line of ['no order\n', '{"update":1}\n', '[]\n', `${'x'.repeat(9000)}\n`, 'null\n'])
    assert.match(await ask(line), /^\{"state":"failed","detail":/, line.slice(0, 20));
  assert.match(await ask('{"update":"coap://here/#1.1"}\n'), /releases come by http or https/);
  assert.equal((await give(['../1.1', at('stick')])).code, 1);
  assert.equal((await give([])).code, 2);
  for (const args of [['1.1', 'a', 'b'], ['1.1', '--status'], ['--unknown']])
    assert.equal((await give(args)).code, 2, args.join(' '));
  assert.ok(kept.lines.some((line) => line.includes('order at the board refused')));
});

test('a medium names its release, and its order is known again', async (t) => {
  const { at } = await board(t);
  await assert.rejects(readMedium(at('stick')), { code: 'device/bad-medium', message: /no release\.txt/ });
  writeFileSync(at('stick/release.txt'), '\uFEFF1.1\r\nwritten on Monday\r\n');
  const order = await readMedium(at('stick'));
  assert.equal(order.release, '1.1');
  const last = new LastOrder(at('kept'));
  assert.equal(await last.is(order), false);
  await last.keep(order);
  assert.equal(await last.is(order), true);
  writeFileSync(at('stick/release.txt'), '1.1\nwritten on Tuesday\n');
  assert.equal(await last.is(await readMedium(at('stick'))), false);
  writeFileSync(at('stick/release.txt'), 'x'.repeat(5000));
  await assert.rejects(readMedium(at('stick')), { code: 'device/bad-medium' });
});
