// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { TrialStore } from '../slots/trial.ts';
import {
  later,
  now,
  oldRoot,
  parts,
  proved,
  releaseOf,
  rootHashes,
  sha256,
  TestBoard,
} from '../testing/update-board.ts';

test('a release is judged file by file, installed, tried, confirmed', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1', { rollbackIndex: 3 }, '2.12.1'));
  const { plan, asked } = await board.check('1.1');
  assert.deepEqual(
    asked.map((name) => name.replace(/[0-9a-f]{64}/, '#')),
    [
      'metadata/2.root.json',
      'metadata/timestamp.json',
      'metadata/1.snapshot.json',
      'metadata/1.targets.json',
      'metadata/1.os.json',
      'targets/os/releases/#.1.1.json',
    ],
  );
  assert.equal(plan.refused, '');
  assert.deepEqual(
    plan.components.map(({ name, device }) => [name, device]),
    [
      ['kernel', board.at('disk', 'boot_b')],
      ['root', board.at('disk', 'root_b')],
    ],
    'the boot firmware of this version is there already',
  );
  const digest = sha256(Buffer.from('payload of root'));
  assert.deepEqual(plan.components[1], {
    name: 'root',
    device: board.at('disk', 'root_b'),
    running: board.at('disk', 'root_a'),
    size: 50_000,
    sha256: sha256(parts.root),
    dataSize: 53_248,
    rootHash: rootHashes.root,
    salt: 'ff00',
    payload: {
      file: `targets/os/components/${digest}/${digest}.root.payload`,
      size: 20_000,
      indexSize: 100,
      indexSha256: '12'.repeat(32),
    },
    map: { file: `targets/os/maps/${rootHashes.root}/${oldRoot}`, size: 90 },
    stream: { file: `targets/os/streams/${rootHashes.root}`, size: 19_000 },
  });
  assert.match(await board.platform.verifySlot(), /does not hold the kernel/);
  await assert.rejects(board.platform.startTrial(), { code: 'device/slot-mismatch' });
  assert.deepEqual(board.state, proved, 'nothing is started that is not there');

  board.write(plan);
  assert.equal(await board.platform.verifySlot(), '');
  await board.platform.startTrial();
  assert.deepEqual(board.state, { ...proved, sequence: 5, first: 'b' });
  assert.equal((await board.platform.getUpdate()).state, 'waits');
  board.boots('b', { ...board.state, tried: 'b', attempts: { a: 0, b: 1 } });
  assert.equal((await board.platform.getUpdate()).state, 'trying');
  assert.equal((await board.check('1.1')).plan.reason, 'update/not-proved', 'the way back is kept');
  board.boots('b', { ...board.state, attempts: { a: 0, b: 0 } });
  assert.deepEqual(await board.platform.getUpdate(), {
    state: 'confirmed',
    release: '1.1',
    reason: '',
    detail: '',
  });

  await board.repository.add(releaseOf('1.0', { rollbackIndex: 2 }));
  assert.match((await board.check('1.0')).plan.refused, /rollback index is 2/);
});

test('what is written to the slot after it was read does not start', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1'));
  const { plan } = await board.check('1.1');
  board.write(plan);
  assert.equal(await board.platform.verifySlot(), '');
  const bytes = readFileSync(board.at('disk', 'boot_b'));
  bytes.writeUInt8(bytes.readUInt8(9_999) ^ 1, 9_999);
  writeFileSync(board.at('disk', 'boot_b'), bytes);
  await assert.rejects(board.platform.startTrial(), { code: 'device/slot-mismatch' });
  assert.deepEqual(board.state, proved);
});

test('a version that is not the one that was judged is not taken for it, and counts for nothing', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1', { rollbackIndex: 7 }));
  board.write((await board.check('1.1')).plan);
  await board.platform.startTrial();
  board.boots('b', { ...board.state, tried: 'b', attempts: { a: 0, b: 0 } }, 'aa'.repeat(32));
  const told = await board.platform.getUpdate();
  assert.equal(told.state, 'fell-back');
  assert.equal(told.reason, 'update/slot-mismatch');
  await board.repository.add(releaseOf('1.2', { rollbackIndex: 6 }));
  assert.equal((await board.check('1.2')).plan.refused, '', 'its rollback index was not taken over');
});

test('a release without payloads cannot be brought', async () => {
  using board = new TestBoard();
  const [image] = releaseOf('1.1').images;
  assert.ok(image);
  const components = image.components.map(({ payload: _none, ...one }) => one);
  await board.repository.add(releaseOf('1.1', { images: [{ ...image, components }] }));
  assert.equal((await board.check('1.1')).plan.reason, 'update/not-installable');
});

test('that a version need not be registered is said by root, for the release that it names', async () => {
  for (const [named, unregistered] of [
    [undefined, false],
    ['1.0\n', false],
    ['1.1\n', true],
  ] as const) {
    using board = new TestBoard();
    await board.repository.add(releaseOf('1.1'));
    board.write((await board.check('1.1')).plan);
    if (named !== undefined) writeFileSync(board.at('ordered'), named);
    await board.platform.startTrial();
    assert.equal((await new TrialStore(board.at('update')).trial())?.unregistered, unregistered);
  }
});

test('a version that did not come up, or was sent back, is told with its reason', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1'));
  for (const [failure, state, reason, detail] of [
    [
      undefined,
      { ...proved, first: 'b', attempts: { a: 1, b: 3 } },
      'update/did-not-come-up',
      'it did not come up in 3 starts',
    ],
    [
      'the check 10-sensor ended with 3',
      { ...proved, attempts: { a: 1, b: 1 } },
      'update/unhealthy',
      'the check 10-sensor ended with 3',
    ],
    [undefined, proved, 'update/not-started', 'it was never started'],
  ] as const) {
    board.boots('a', proved);
    board.write((await board.check('1.1')).plan);
    await board.platform.startTrial();
    if (failure !== undefined)
      writeFileSync(board.at('update', 'failure.json'), JSON.stringify({ detail: failure }));
    board.boots('a', state);
    const told = { state: 'fell-back', release: '1.1', reason, detail };
    assert.deepEqual(await board.platform.getUpdate(), told);
    assert.deepEqual(await board.platform.getUpdate(), told, 'and again');
  }
});

test('a version whose kernel died is told with its last words', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1'));
  board.write((await board.check('1.1')).plan);
  await board.platform.startTrial();
  writeFileSync(board.at('panic'), 'Kernel panic - not syncing: Attempted to kill init!\n');
  board.boots('a', { ...proved, sequence: 9, attempts: { a: 0, b: 3 } });
  const { detail } = await board.platform.getUpdate();
  assert.equal(detail, 'it did not come up in 3 starts: Kernel panic - not syncing: Attempted to kill init!');
});

test('another release takes the place of one that waits, which then does not start half-written', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1'));
  board.write((await board.check('1.1')).plan);
  await board.platform.startTrial();
  await board.check('1.1');
  assert.equal(board.state.first, 'a');
  assert.equal((await board.platform.getUpdate()).reason, 'update/replaced');
  board.boots('a', { ...board.state, tried: 'b' });
  assert.equal((await board.check('1.1')).plan.reason, 'update/not-proved', 'kernel and root of two slots');
});

test('what is not for this board is refused, and no file of it is asked for', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('production', { keys: 'production' }));
  await board.repository.add(releaseOf('firmware', {}, '9.9'));
  const [image] = releaseOf('x').images;
  assert.ok(image);
  await board.repository.add(releaseOf('machine', { images: [{ ...image, machine: 'other' }] }));
  await board.repository.add(
    releaseOf('half', { images: [{ ...image, components: image.components.slice(0, 1) }] }),
  );
  for (const [name, why, reason] of [
    ['production', /production keys/, 'update/wrong-device'],
    ['firmware', /boot firmware 9\.9/, 'update/not-installable'],
    ['machine', /not for qemu-arm64/, 'update/wrong-device'],
    ['half', /no root/, 'update/not-installable'],
    ['unknown', /no release unknown/, 'update/unknown-release'],
  ] as const) {
    const { plan } = await board.check(name);
    assert.match(plan.refused, why);
    assert.equal(plan.reason, reason);
    assert.deepEqual(plan.components, []);
    await assert.rejects(board.platform.startTrial(), { code: 'device/no-release' });
  }
});

test('metadata that nobody signed, that is old, or that goes back is refused', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.0'));
  const old = new Map(board.repository.files);
  await board.repository.add(releaseOf('1.1'));
  assert.equal((await board.check('1.1')).plan.refused, '');
  assert.match((await board.check('1.0', old)).plan.refused, /goes back/);
  const forged = new Map(board.repository.files);
  forged.set(
    'metadata/timestamp.json',
    (forged.get('metadata/timestamp.json') ?? '').replace(/"version": \d+/, '"version": 99'),
  );
  assert.match((await board.check('1.1', forged)).plan.refused, /not signed/);
  board.clock = later(40);
  assert.match((await board.check('1.1')).plan.refused, /has expired/);
});

test('a clock that is wrong keeps no update away for good', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1'));
  board.clock = new Date('2099-01-01T00:00:00Z');
  assert.match((await board.check('1.1')).plan.refused, /has expired/);
  assert.deepEqual(board.state, proved, 'nothing is started');
  board.clock = new Date(0);
  assert.equal((await board.check('1.1')).plan.refused, '', 'a board without a battery takes what is signed');
  board.clock = now;
  board.write((await board.check('1.1')).plan);
  await board.platform.startTrial();
  assert.equal(board.state.first, 'b');
});

test('what proved good counts before another release is judged, though nobody asked how it went', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.2', { rollbackIndex: 5 }));
  await board.repository.add(releaseOf('1.0'));
  board.write((await board.check('1.2')).plan);
  await board.platform.startTrial();
  board.boots('b', { ...board.state, tried: 'b', attempts: { a: 0, b: 0 } });
  assert.match((await board.check('1.0')).plan.refused, /rollback index is 0/);
});

test('a slot that the boot loader may start again is still on trial', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1'));
  board.write((await board.check('1.1')).plan);
  await board.platform.startTrial();
  const { sequence } = board.state;
  // Refused once, so that slot a runs; then the power goes before slot a has proved good.
  board.boots('a', { sequence: sequence + 1, first: 'b', tried: 'a', attempts: { a: 1, b: 1 } });
  assert.equal((await board.platform.getUpdate()).state, 'fell-back');
  board.boots('b', { sequence: sequence + 2, first: 'b', tried: 'b', attempts: { a: 1, b: 2 } });
  assert.equal((await board.platform.getUpdate()).state, 'trying');
});

test('a release that is judged while another one is started changes nothing of it', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1', { rollbackIndex: 1 }));
  await board.repository.add(releaseOf('1.2', { rollbackIndex: 2 }));
  board.write((await board.check('1.2')).plan);
  board.write((await board.check('1.1')).plan);
  const started = board.platform.startTrial();
  const judged = board.check('1.2').catch(() => undefined);
  await started;
  const trial = JSON.parse(readFileSync(board.at('update', 'trial.json'), 'utf8')) as { release: string };
  assert.equal(trial.release, '1.1');
  await judged;
});

test('damage to what the board remembers keeps no update away', async () => {
  using board = new TestBoard();
  await board.repository.add(releaseOf('1.1'));
  writeFileSync(board.at('update', 'metadata'), 'a file');
  assert.equal((await board.check('1.1')).plan.refused, '');
  rmSync(board.at('update', 'metadata'), { recursive: true });
  mkdirSync(board.at('update', 'metadata', 'timestamp.json', 'folder'), { recursive: true });
  assert.equal((await board.check('1.1')).plan.refused, '');
  mkdirSync(board.at('update', 'trial.json'));
  mkdirSync(board.at('update', 'outcome.json'));
  assert.equal((await board.platform.getUpdate()).state, 'none');
});
