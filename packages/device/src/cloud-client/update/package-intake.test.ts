// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { Code } from '@mbl/coap';
import type { ValueSink } from '@mbl/lwm2m';
import { packed } from '../../testing/packing.ts';
import { eventually, FakePlatform, TemporaryFolder } from '../../testing/support.ts';
import { updating } from '../../testing/updating.ts';
import { PackageIntake } from './package-intake.ts';

/** An updater that takes packages into a folder where an earlier client left something. */
async function taking(t: TestContext, limits: { most?: number; reserve?: number } = {}) {
  const world = await updating(t);
  using stack = new DisposableStack();
  const { path: folder } = stack.use(new TemporaryFolder());
  const kept = stack.move();
  t.after(() => kept.dispose());
  mkdirSync(join(folder, 'left'));
  writeFileSync(join(folder, 'package-1.tar'), 'left');
  const { updater, memory } = world;
  const intake = new PackageIntake({ folder, updater, memory, log: world.kept.log, ...limits });
  const until = async (state: string) => await eventually(() => updater.status.state === state, 60_000);
  const empty = async () => await eventually(() => readdirSync(folder).length === 0, 60_000);
  return { ...world, intake, folder, until, empty };
}

async function push(sink: ValueSink, bytes: Buffer, block = 100_000): Promise<void> {
  for (let at = 0; at < bytes.length; at += block) await sink.write(bytes.subarray(at, at + block));
  await sink.end();
}

const lost = { name: 'Lwm2mError', status: Code.REQUEST_ENTITY_INCOMPLETE };

test('a package that is written ends in the idle slot, and is started like any release', async (t) => {
  const { updater, intake, files, whole, device, platform, until, empty, asked, kept } = await taking(t);
  const bytes = packed(files);
  await push(intake.open(bytes.length), bytes);
  assert.equal(updater.status.toFetch, bytes.length);
  await until('downloaded');
  assert.ok(readFileSync(device).subarray(0, whole.length).equals(whole));
  assert.deepEqual(
    [updater.status.release, updater.status.uri, updater.status.fetched],
    ['1.1', '', bytes.length],
  );
  await empty();
  assert.equal(asked(), 0, 'no mirror was asked');
  await updater.install();
  assert.equal(platform.reboots, 1);
  assert.ok(
    kept.lines.some((line) => line.startsWith('package is here')),
    kept.lines.join('\n'),
  );
});

test('a package that breaks off, is silent or comes anew leaves nothing behind', async (t) => {
  const { updater, intake, files, until, empty, device, platform } = await taking(t);
  const before = readFileSync(device);
  const bytes = packed(files);
  const first = intake.open(bytes.length);
  await first.write(bytes.subarray(0, 200_000));
  assert.equal(updater.status.state, 'downloading');
  first.abort(new Error('the peer closed the connection'));
  assert.deepEqual([updater.status.state, updater.status.result], ['idle', 'connectionLost']);
  assert.equal(updater.status.reason, 'update/package-lost');
  await empty();
  await assert.rejects(first.write(bytes), lost);
  // What the platform says of an update of before does not hide that.
  platform.update = { state: 'confirmed', release: '1.0', reason: '', detail: '' };
  await updater.look();
  assert.equal(updater.status.result, 'connectionLost');
  const second = intake.open(undefined);
  await second.write(bytes.subarray(0, 200_000));
  const third = intake.open(bytes.length);
  await assert.rejects(second.write(bytes.subarray(200_000)), lost);
  second.abort(new Error('begun anew'));
  assert.equal(updater.status.state, 'downloading', 'the newest order counts');
  assert.ok(readFileSync(device).equals(before));
  await push(third, bytes, 1024 * 1024);
  await until('downloaded');
  await empty();
});

test('blocks of two servers in one transfer make no package', async (t) => {
  const { updater, intake, files, until, empty } = await taking(t);
  const bytes = packed(files);
  // The other one has everything elsewhere.
  const other = Buffer.concat([Buffer.alloc(1536), bytes]).subarray(0, bytes.length);
  const sink = intake.open(bytes.length);
  for (let at = 0, turn = 0; at < bytes.length; at += 4096, turn++)
    await sink.write((turn % 2 === 0 ? bytes : other).subarray(at, at + 4096));
  await sink.end();
  await until('idle');
  // Whether it is a header or a content that is torn first is chance.
  const { result } = updater.status;
  assert.ok(result === 'integrityCheckFailure' || result === 'unsupportedPackage', result);
  await empty();
});

test('no room, no end, another size than announced and too many bytes for the budget are told apart', async (t) => {
  const most = 1_000_000;
  const { updater, intake, memory, empty, folder } = await taking(t, { most });
  const tooLarge = { status: Code.REQUEST_ENTITY_TOO_LARGE };
  const piece = Buffer.alloc(512 * 200);
  piece.write('ustar', 257);
  const announced = intake.open(most + 1);
  await assert.rejects(announced.write(piece), tooLarge);
  assert.deepEqual([updater.status.result, updater.status.reason], ['noFlash', 'update/no-room']);
  const endless = intake.open(undefined);
  let written = 0;
  await assert.rejects(
    (async () => {
      for (;;) {
        await endless.write(piece);
        written += piece.length;
      }
    })(),
    tooLarge,
  );
  assert.ok(written <= most && written > most - piece.length);
  await empty();
  const longer = intake.open(piece.length);
  await longer.write(piece);
  await assert.rejects(longer.write(piece), tooLarge);
  assert.equal(updater.status.result, 'unsupportedPackage');
  const shorter = intake.open(piece.length + 1);
  await shorter.write(piece);
  await assert.rejects(shorter.end(), { status: Code.BAD_REQUEST });
  await memory.keep({ budget: 1000 });
  await assert.rejects(intake.open(undefined).write(piece), tooLarge);
  assert.deepEqual([updater.status.result, updater.status.reason], ['failed', 'update/over-budget']);
  await memory.keep({ budget: 0 });
  const { intake: full, updater: other } = await taking(t, { reserve: Number.MAX_SAFE_INTEGER });
  await assert.rejects(full.open(100_000_000).write(piece), tooLarge);
  assert.equal(other.status.result, 'noFlash');
  assert.deepEqual(readdirSync(folder), []);
});

test('what is no package, or a hostile one, is refused, and nothing is written beside it', async (t) => {
  const { updater, intake, files, until, empty, device } = await taking(t);
  const before = readFileSync(device);
  await assert.rejects(intake.open(undefined).write(Buffer.alloc(4096, 'x')), { status: Code.BAD_REQUEST });
  assert.deepEqual(
    [updater.status.result, updater.status.reason],
    ['unsupportedPackage', 'update/bad-package'],
  );
  for (const bytes of [
    packed(files, { more: [{ path: 'metadata/timestamp.json', type: 'symlink', link: '/etc/shadow' }] }),
    packed(files, { more: [{ path: '../../config/identity/key.pem', data: Buffer.from('x') }] }),
    packed(files, { release: '../1.1' }),
    packed(files).subarray(0, -100_000),
    packed(new Map([['release.txt', Buffer.from('1.2\n')]])),
  ]) {
    await push(intake.open(bytes.length), bytes);
    await until('idle');
    assert.equal(updater.status.result, 'unsupportedPackage', updater.status.detail);
    await empty();
  }
  assert.ok(readFileSync(device).equals(before));
});

test('a package whose metadata is forged or whose payload is not what was signed fails the integrity check', async (t) => {
  const { updater, intake, files, until, empty, platform } = await taking(t);
  const changed = (path: string, bytes: Buffer | undefined): Buffer => {
    const all = new Map(files);
    if (bytes === undefined) all.delete(path);
    else all.set(path, bytes);
    return packed(all);
  };
  const payload = 'targets/root.payload';
  const wrong = Buffer.from((files.get(payload) ?? Buffer.alloc(0)).map((byte) => byte ^ 1));
  for (const [bytes, reason] of [
    [changed('metadata/timestamp.json', Buffer.from('forged')), 'update/signature-invalid'],
    [changed('metadata/timestamp.json', undefined), 'update/signature-invalid'],
    [changed(payload, wrong), 'update/mirror-mismatch'],
    [changed(payload, undefined), 'update/repository-incomplete'],
  ] as const) {
    await push(intake.open(bytes.length), bytes);
    await until('idle');
    assert.deepEqual([updater.status.result, updater.status.reason], ['integrityCheckFailure', reason]);
    await empty();
  }
  platform.slotFault = 'the slot has something else';
  await push(intake.open(undefined), packed(files));
  await until('idle');
  assert.equal(updater.status.result, 'integrityCheckFailure');
  assert.equal(platform.reboots, 0);
});

test('a push takes the place of a pull, and a pull that of a push; neither comes while one is started', async (t) => {
  const { updater, intake, files, until, empty, uri, memory, whole, device } = await taking(t);
  const bytes = packed(files);
  await updater.begin(uri);
  await push(intake.open(bytes.length), bytes);
  assert.equal(memory.uri, '', 'a restart does not go on with the pull');
  await until('downloaded');
  assert.equal(updater.status.uri, '');
  const sink = intake.open(bytes.length);
  await sink.write(bytes.subarray(0, 100_000));
  await updater.begin(uri);
  await assert.rejects(sink.write(bytes.subarray(100_000)), lost);
  await until('downloaded');
  assert.equal(updater.status.uri, uri);
  assert.ok(readFileSync(device).subarray(0, whole.length).equals(whole));
  await empty();
  const again = intake.open(bytes.length);
  await again.write(bytes.subarray(0, 100_000));
  // E.6: a Package of one zero byte.
  await updater.begin('');
  assert.deepEqual([updater.status.state, updater.status.result], ['idle', 'initial']);
  await empty();
  await push(intake.open(undefined), bytes);
  await until('downloaded');
  await updater.install();
  assert.throws(() => intake.open(1), { name: 'Lwm2mError', status: Code.METHOD_NOT_ALLOWED });
});

test('a block that waits for the order before is let go when another package takes its place, or its server is gone', async (t) => {
  const { updater, intake, files, uri, platform, until, empty } = await taking(t);
  const bytes = packed(files);
  const held = Promise.withResolvers<void>();
  const sound = new FakePlatform();
  sound.components = platform.components;
  platform.checkRelease = async (given) => {
    await held.promise;
    return await sound.checkRelease(given);
  };
  await updater.begin(uri);
  const first = intake.open(bytes.length);
  const waits = first.write(bytes.subarray(0, 100_000));
  const second = intake.open(bytes.length);
  const waitsToo = second.write(bytes.subarray(0, 100_000));
  second.abort(new Error('the peer closed the connection'));
  const ends = Promise.allSettled([waits, waitsToo]).then((all) => all.map(({ status }) => status));
  const early = await Promise.race([ends, delay(1000, 'still waiting', { ref: false })]);
  held.resolve();
  assert.deepEqual(early, ['rejected', 'rejected']);
  assert.equal(updater.status.result, 'connectionLost');
  await push(intake.open(bytes.length), bytes);
  await until('downloaded');
  await empty();
});
