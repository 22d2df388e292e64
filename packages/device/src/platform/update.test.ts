// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type BootState,
  bootStateOffsets,
  chooseBootState,
  formatBootState,
  formatRelease,
  type Release,
} from '@mbl/formats';
import {
  addTargets,
  beginRepository,
  componentPath,
  emptyState,
  makeBornRoot,
  metadataSigner,
  publish,
  releasePath,
  signStaged,
} from '@mbl/releases';
import { memorySigner } from '@mbl/trust';
import { imageJson, TemporaryFolder } from '../testing/support.ts';
import { defaultSystem } from './options.ts';
import { tufVerifier } from './release.ts';
import { type InstallPlan, installUpdates } from './update.ts';

const now = new Date('2027-01-15T12:00:00Z');
const later = (days: number): Date => new Date(now.getTime() + days * 86_400_000);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const parts = { kernel: randomBytes(10_000), root: randomBytes(50_000) };

function releaseOf(name: string, more: Partial<Release> = {}, firmware?: string): Release {
  const component = (part: 'kernel' | 'root') => ({
    name: part,
    version: name,
    file: `${part}.img`,
    size: parts[part].length,
    sha256: sha256(parts[part]),
    requires: [],
  });
  const boot = { ...component('kernel'), name: 'boot-firmware', version: firmware ?? '' };
  const components = [...(firmware === undefined ? [] : [boot]), component('kernel'), component('root')];
  const image = { machine: 'qemu-arm64', image: 'product', buildId: '0123456789abcdef', components };
  const plain = { version: 1, team: 'os', name, keys: 'development', rollbackIndex: 0, notes: '' } as const;
  return { ...plain, images: [image], ...more };
}

/** A repository with these releases, as files by their names. */
class Repository {
  readonly files = new Map<string, string>();
  root: Uint8Array = Buffer.alloc(0);
  readonly #state = emptyState();
  readonly #signers = Promise.all(
    Array.from({ length: 4 }, () => metadataSigner(memorySigner(generateKeyPairSync('ed25519').privateKey))),
  );

  async add(release: Release): Promise<void> {
    const [root, targets, snapshot, timestamp] = await this.#signers;
    assert.ok(root && targets && snapshot && timestamp);
    if (this.root.length === 0) {
      this.root = await makeBornRoot({ root, targets, snapshot, timestamp }, now);
      beginRepository(this.#state, { root, targets, snapshot, timestamp }, this.root, now);
    }
    const text = Buffer.from(formatRelease(release));
    const target = (path: string, bytes: Uint8Array) => ({
      path,
      length: bytes.length,
      sha256: sha256(bytes),
    });
    const path = releasePath('os', release.name);
    const components = release.images
      .flatMap((image) => image.components)
      .map((one) => ({ path: componentPath('os', one), length: one.size, sha256: one.sha256 }));
    addTargets(this.#state, 'os', [target(path, text), ...components], now);
    const signers = [root, targets, snapshot, timestamp];
    await signStaged(this.#state, signers);
    const { files } = await publish(this.#state, { signers, now });
    for (const [name, bytes] of files) this.files.set(`metadata/${name}`, bytes.toString('utf8'));
    const at = path.lastIndexOf('/') + 1;
    this.files.set(`targets/${path.slice(0, at)}${sha256(text)}.${path.slice(at)}`, text.toString('utf8'));
  }
}

const proved: BootState = { sequence: 4, first: 'a', tried: 'a', attempts: { a: 0, b: 0 } };

/** A board that runs slot a, and has proved good. */
class TestBoard implements Disposable {
  readonly repository = new Repository();
  readonly #folder = new TemporaryFolder();
  #now = now;
  #platform: ReturnType<typeof installUpdates> | undefined;

  at(...names: string[]): string {
    return join(this.#folder.path, ...names);
  }

  constructor() {
    for (const name of ['disk', 'update']) mkdirSync(this.at(name));
    for (const part of ['boot_a', 'boot_b', 'root_a', 'root_b'])
      writeFileSync(this.at('disk', part), Buffer.alloc(60_000));
    this.boots('a', proved);
    writeFileSync(this.at('image.json'), imageJson);
  }

  /** The board starts anew. */
  boots(slot: 'a' | 'b', state: BootState): void {
    writeFileSync(this.at('boot'), `slot=${slot}\nattempts=1\n`);
    const bytes = Buffer.alloc(8192);
    bytes.set(formatBootState(state), bootStateOffsets[0]);
    writeFileSync(this.at('disk', 'state'), bytes);
    this.#platform = undefined;
  }

  get state(): BootState {
    return chooseBootState(readFileSync(this.at('disk', 'state'))).state;
  }

  set clock(date: Date) {
    this.#now = date;
    this.#platform = undefined;
  }

  get platform(): ReturnType<typeof installUpdates> {
    writeFileSync(this.at('root.json'), this.repository.root);
    return (this.#platform ??= installUpdates(
      {
        ...defaultSystem,
        bootFile: this.at('boot'),
        disk: this.at('disk'),
        update: this.at('update'),
        imageFile: this.at('image.json'),
      },
      tufVerifier({ root: this.at('root.json'), seen: this.at('update', 'metadata'), now: () => this.#now }),
    ));
  }

  /** Brings every file of metadata that is asked for, from `files`; gives the verdict and what was asked for. */
  async check(
    release: string,
    files: ReadonlyMap<string, string> = this.repository.files,
  ): Promise<{ plan: InstallPlan; asked: string[] }> {
    const metadata: { name: string; content: string }[] = [];
    for (;;) {
      const plan = await this.platform.checkRelease({ release, metadata });
      if (plan.missing === '') return { plan, asked: metadata.map(({ name }) => name) };
      assert.ok(metadata.length < 20, `too many: ${plan.missing}`);
      metadata.push({ name: plan.missing, content: files.get(plan.missing) ?? '' });
    }
  }

  write(plan: InstallPlan): void {
    for (const { device, name } of plan.components) {
      assert.ok(name === 'kernel' || name === 'root');
      const bytes = readFileSync(device);
      bytes.set(parts[name]);
      writeFileSync(device, bytes);
    }
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

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
  const digest = sha256(parts.root);
  assert.equal(plan.components[1]?.path, `targets/os/components/${digest}/${digest}.root.img`);
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
