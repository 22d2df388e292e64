// SPDX-License-Identifier: Apache-2.0
//
// The boot firmware of a release: installed with it, tried with it, confirmed or sent back with it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type BootState,
  bootStateOffsets,
  chooseBootState,
  formatBootState,
  type Release,
  type Slot,
} from '@mbl/formats';
import { readComponents } from '../platform/components.ts';
import { defaultSystem } from '../platform/options.ts';
import type { ReleaseVerifier } from '../platform/release.ts';
import { type InstallPlan, installUpdates } from '../platform/update.ts';
import { confirmed } from '../slots/boot-state.ts';
import { TrialStore } from '../slots/trial.ts';
import { FakeBanks } from '../testing/fake-banks.ts';
import { imageJson, TemporaryFolder } from '../testing/support.ts';
import { measureFirmware } from './measure.ts';
import { firmwareFault, keepSecondCopy, settleFirmware } from './release.ts';

const contents: Readonly<Record<string, Buffer>> = {
  'boot-firmware': randomBytes(5000),
  kernel: randomBytes(1000),
  root: randomBytes(2000),
};
const rootHash = 'cd'.repeat(32);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function releaseWith(files: typeof contents, firmware: string): Release {
  const components = Object.entries(files).map(([name, bytes]) => ({
    name,
    version: name === 'boot-firmware' ? firmware : '1.1',
    file: `${name}.img`,
    size: bytes.length,
    sha256: sha256(bytes),
    payload: {
      ...{
        file: `${name}.payload`,
        size: 100,
        sha256: '12'.repeat(32),
        indexSize: 10,
        indexSha256: '34'.repeat(32),
      },
      ...{ dataSize: Math.ceil(bytes.length / 4096) * 4096, rootHash, salt: '00', maps: [] },
    },
    requires: [],
  }));
  const image = { machine: 'qemu-arm64', image: 'product', buildId: '0123456789abcdef', components };
  return {
    version: 1,
    team: 'os',
    name: '1.1',
    keys: 'development',
    rollbackIndex: 0,
    notes: '',
    images: [image],
  };
}

/** Vouches for a release without anybody's signature: who signs is another test's business. */
function vouchFor(release: Release): Pick<ReleaseVerifier, 'verify'> {
  const [image] = release.images;
  assert.ok(image);
  const components = image.components.map((component) => ({
    component,
    target: {
      path: component.file,
      length: component.size,
      hashes: { sha256: component.sha256 },
      role: 'os',
    },
    payload: { path: `${component.file}.payload`, length: 100, hashes: {}, role: 'os' },
  }));
  return {
    verify: () => Promise.resolve({ accepted: { release, image, components }, locate: ({ path }) => path }),
  };
}

/** A board that runs slot a and bank a, both of which proved good. */
class TestBoard implements Disposable {
  readonly banks = new FakeBanks();
  readonly #folder = new TemporaryFolder();
  readonly files: typeof contents;
  readonly #verifier: Pick<ReleaseVerifier, 'verify'>;
  platform: ReturnType<typeof installUpdates>;

  constructor({ files = contents, firmware = '9.9' }: { files?: typeof contents; firmware?: string } = {}) {
    this.files = files;
    this.#verifier = vouchFor(releaseWith(files, firmware));
    for (const name of ['disk', 'update']) mkdirSync(this.at(name));
    for (const part of ['boot_b', 'root_b']) writeFileSync(this.at('disk', part), Buffer.alloc(4000));
    // Left over from another time, and longer.
    writeFileSync(this.at('disk', 'boot-firmware'), randomBytes(9000));
    writeFileSync(this.at('image.json'), imageJson);
    this.state = { sequence: 4, first: 'a', tried: 'a', attempts: { a: 0, b: 0 } };
    this.platform = this.boots('a');
  }

  at(...names: string[]): string {
    return join(this.#folder.path, ...names);
  }

  set state(state: BootState) {
    const bytes = Buffer.alloc(8192);
    bytes.set(formatBootState(state), bootStateOffsets[0]);
    writeFileSync(this.at('disk', 'state'), bytes);
  }

  get state(): BootState {
    return chooseBootState(readFileSync(this.at('disk', 'state'))).state;
  }

  get trials(): TrialStore {
    return new TrialStore(this.at('update'));
  }

  /** The board starts anew, in that slot. */
  boots(slot: Slot): ReturnType<typeof installUpdates> {
    writeFileSync(this.at('boot'), `slot=${slot}\nattempts=1\n`);
    mkdirSync(this.at('sys/class/block/dm-0/dm'), { recursive: true });
    writeFileSync(
      this.at('sys/class/block/dm-0/dm/uuid'),
      `VERITY-${slot === 'b' ? rootHash : 'ab'.repeat(32)}`,
    );
    this.platform = installUpdates(
      {
        ...defaultSystem,
        root: this.#folder.path,
        bootFile: this.at('boot'),
        disk: this.at('disk'),
        update: this.at('update'),
        imageFile: this.at('image.json'),
      },
      this.#verifier,
      this.banks,
    );
    return this.platform;
  }

  /** What the platform says of what runs, asked for the first time. */
  components(): ReturnType<typeof readComponents> {
    const places = { root: this.#folder.path, update: this.at('update'), imageFile: this.at('image.json') };
    return readComponents(places, this.banks);
  }

  /** The new system starts for the first time, with whatever bank comes up. */
  triesNew(bankFails = false): void {
    this.banks.reset(bankFails);
    this.state = { ...this.state, tried: 'b', attempts: { a: 0, b: 1 } };
    this.boots('b');
  }

  /** What mbl-good-boot does, up to its end. */
  async goodBoot(): Promise<string | undefined> {
    this.state = { ...this.state, ...confirmed(this.state) };
    return await settleFirmware(this.banks, await this.trials.trial(), this.state.tried);
  }

  async bring(): Promise<InstallPlan> {
    const plan = await this.platform.checkRelease({ release: '1.1', metadata: [] });
    for (const { device, name } of plan.components) {
      const bytes = readFileSync(device);
      bytes.set(this.files[name] ?? assert.fail(name));
      writeFileSync(device, bytes);
    }
    return plan;
  }

  async install(): Promise<void> {
    assert.equal((await this.bring()).refused, '');
    assert.equal(await this.platform.verifySlot(), '');
    // The client has the release judged once more before it starts.
    await this.platform.checkRelease({ release: '1.1', metadata: [] });
    await this.platform.startTrial();
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

const firmware = contents['boot-firmware'] ?? Buffer.alloc(0);

test('the firmware of a release goes to the idle bank, and is tried and confirmed with its system', async () => {
  using board = new TestBoard();
  const { components } = await board.bring();
  assert.deepEqual(
    components.map(({ name, device }) => [name, device]),
    [
      ['boot-firmware', board.at('disk', 'boot-firmware')],
      ['kernel', board.at('disk', 'boot_b')],
      ['root', board.at('disk', 'root_b')],
    ],
  );
  await board.install();
  assert.ok(board.banks.contents.b.subarray(0, firmware.length).equals(firmware));
  assert.equal(board.banks.asked, 'b');
  assert.equal(board.state.first, 'b');
  assert.equal(statSync(board.at('disk', 'boot-firmware')).size, 0, 'nothing of it stays in memory');
  board.triesNew();
  const trial = await board.trials.trial();
  assert.ok(trial?.firmware);
  assert.equal(await firmwareFault(board.banks, trial.firmware), undefined);
  assert.equal((await board.platform.getUpdate()).state, 'trying');
  assert.equal(await board.goodBoot(), 'bank b is good');
  assert.equal((await board.platform.getUpdate()).state, 'confirmed');
  assert.deepEqual([board.banks.accepted, board.banks.stored], ['b', 1]);
});

test('a firmware that runs already is not installed, whatever its version says', async () => {
  using board = new TestBoard();
  board.banks.contents.a.set(firmware);
  assert.deepEqual(
    (await board.bring()).components.map(({ name }) => name),
    ['kernel', 'root'],
  );
  await board.install();
  assert.equal(board.banks.asked, undefined);
});

test('a board without banks takes no other firmware, and a bank no larger one', async () => {
  using board = new TestBoard();
  board.banks.absent = true;
  assert.match((await board.bring()).refused, /boot firmware 9\.9, which cannot be installed/);
  using same = new TestBoard({ firmware: '2.12.1' });
  same.banks.absent = true;
  assert.equal((await same.bring()).components.length, 2);
  using large = new TestBoard({ files: { ...contents, 'boot-firmware': randomBytes(65_537) } });
  assert.match((await large.bring()).refused, /65537 bytes, and a bank has 65536/);
});

test('what changes after it was judged, or comes to the bank as something else, is not tried', async () => {
  using board = new TestBoard();
  await board.bring();
  assert.equal(await board.platform.verifySlot(), '');
  writeFileSync(board.at('disk', 'boot-firmware'), randomBytes(firmware.length));
  await assert.rejects(board.platform.startTrial(), { code: 'device/slot-mismatch' });
  await board.bring();
  assert.equal(await board.platform.verifySlot(), '');
  board.banks.flaw = (firmware.at(-1) ?? 0) ^ 1;
  await assert.rejects(board.platform.startTrial(), { code: 'device/slot-mismatch' });
  assert.deepEqual([board.banks.asked, board.state.first], [undefined, 'a']);
  assert.equal(await board.trials.trial(), undefined);
});

test('where the firmware does not come up, the system that came with it is at fault', async () => {
  using board = new TestBoard();
  await board.install();
  board.triesNew(true);
  const trial = await board.trials.trial();
  assert.ok(trial?.firmware);
  assert.match((await firmwareFault(board.banks, trial.firmware)) ?? '', /bank a runs in place of bank b/);
  board.banks.absent = true;
  assert.match((await firmwareFault(board.banks, trial.firmware)) ?? '', /bank of before runs/);
});

test('where the system went back, its firmware does at the next good start, before or after somebody asks', async () => {
  for (const asked of [false, true]) {
    using board = new TestBoard();
    await board.install();
    board.banks.reset();
    board.state = { ...board.state, first: 'a', tried: 'a', attempts: { a: 1, b: 3 } };
    board.boots('a');
    if (asked) assert.equal((await board.platform.getUpdate()).state, 'fell-back');
    assert.equal(await board.goodBoot(), 'bank b goes back with its system');
    assert.deepEqual([board.banks.rejected, board.banks.stored], [true, 0]);
    board.banks.reset();
    assert.equal(await board.goodBoot(), 'bank a is good');
    assert.equal((await board.platform.getUpdate()).state, 'fell-back');
  }
});

test('a cut at any step of the order leaves the old system with the old firmware, or both new', async () => {
  using board = new TestBoard();
  const order = async (broken: Partial<FakeBanks>) => {
    Object.assign(board.banks, broken);
    await board.bring();
    await assert.rejects(board.platform.startTrial());
    for (const name of Object.keys(broken)) Reflect.deleteProperty(board.banks, name);
  };
  const power = () => Promise.reject(new Error('the power went'));
  for (const broken of [{ write: power }, { try: power }]) {
    await order(broken);
    board.banks.reset();
    board.boots('a');
    assert.equal(board.banks.running, 'a');
    assert.notEqual((await board.platform.getUpdate()).state, 'waits');
    assert.equal(await board.goodBoot(), 'bank a is good');
  }
  // Between the order for the bank and the boot state.
  const state = readFileSync(board.at('disk', 'state'));
  await board.bring();
  await order({
    async try(bank: Slot) {
      board.banks.asked = bank;
      await power();
    },
  });
  writeFileSync(board.at('disk', 'state'), state);
  board.banks.reset();
  board.boots('a');
  assert.equal(board.banks.running, 'b', 'the firmware of a system that was never tried');
  assert.equal(await board.goodBoot(), 'bank b goes back with its system');
  board.banks.reset();
  assert.equal(board.banks.running, 'a');
});

test('a cut between the verdict on the system and that on its firmware is made good, or both go back', async () => {
  using board = new TestBoard();
  await board.install();
  board.triesNew();
  board.state = { ...board.state, ...confirmed(board.state) };
  // Here it went. Not confirmed to anybody before both are.
  board.boots('b');
  assert.equal((await board.platform.getUpdate()).state, 'trying');
  assert.equal(await board.goodBoot(), 'bank b is good');
  assert.equal((await board.platform.getUpdate()).state, 'confirmed');
});

test('what proved good is in both banks, and what is on trial or wanted is not written over', async () => {
  using board = new TestBoard();
  const { banks } = board;
  const copies = () => banks.contents.a.equals(banks.contents.b);
  assert.equal(await keepSecondCopy(banks), 'bank b is a copy of bank a: 4 blocks');
  assert.ok(copies());
  assert.equal(await keepSecondCopy(banks), undefined, 'nothing differs');
  await board.install();
  assert.equal(await keepSecondCopy(banks), undefined);
  board.triesNew();
  assert.equal(await keepSecondCopy(banks), undefined, 'the way back of a trial');
  assert.ok(!copies());
  await board.goodBoot();
  assert.match((await keepSecondCopy(banks)) ?? '', /^bank a is a copy of bank b/);
  assert.ok(copies() && banks.contents.a.subarray(0, firmware.length).equals(firmware));
  banks.contents.a.fill(0);
  banks.written = true;
  assert.equal(await keepSecondCopy(banks), undefined, 'something was brought to it');
  banks.absent = true;
  assert.equal(await keepSecondCopy(banks), undefined);
  banks.absent = false;
  banks.copy = () => Promise.reject(new Error('the flash fails'));
  await assert.rejects(keepSecondCopy(banks), /the flash fails/);
});

test('which firmware runs is measured, and its version is that of the release that signed these bytes', async () => {
  using board = new TestBoard();
  const { banks } = board;
  const shown = async () => await board.components().getComponents();
  // Without a table of contents all of the bank is what runs.
  const whole = sha256(banks.contents.a);
  assert.deepEqual(await measureFirmware(banks), { bank: 'a', sha256: whole });
  const born = await shown();
  assert.deepEqual(
    [born.bank, born.firmware, born.version, born.root],
    ['a', whole, '2.12.1', 'ab'.repeat(32)],
  );
  await board.install();
  board.triesNew();
  const { bank, firmware: digest } = await shown();
  assert.deepEqual([bank, digest], ['b', sha256(banks.contents.b)]);
  // A package: as far as its table says.
  const fip = Buffer.alloc(4096, 7);
  fip.writeUInt32LE(0xaa640001, 0);
  fip.fill(0, 16, 56);
  fip.writeBigUInt64LE(300n, 32);
  banks.contents.b.set(fip);
  assert.equal((await shown()).firmware, sha256(fip.subarray(0, 300)));
  assert.equal((await shown()).version, '2.12.1', 'no release is known that has it');
  await board.trials.noteFirmware({ version: '9.9', sha256: sha256(fip.subarray(0, 300)) });
  assert.equal((await shown()).version, '9.9');
  banks.contents.b[299] = 0;
  assert.equal((await shown()).version, '2.12.1');
  banks.absent = true;
  assert.deepEqual([(await shown()).bank, (await shown()).firmware], ['', '']);
});

test('a release says which version its firmware is, installed or not; few are remembered', async () => {
  using board = new TestBoard();
  board.banks.contents.a.set(firmware);
  await board.install();
  assert.deepEqual(await board.trials.knownFirmware(), [{ version: '9.9', sha256: sha256(firmware) }]);
  for (const version of ['1', '2', '3', '4'])
    await board.trials.noteFirmware({ version, sha256: version.repeat(64) });
  await board.trials.noteFirmware({ version: '5', sha256: '3'.repeat(64) });
  assert.deepEqual(
    (await board.trials.knownFirmware()).map(({ version }) => version),
    ['5', '4', '2', '1'],
  );
});
