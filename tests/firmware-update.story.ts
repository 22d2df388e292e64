// SPDX-License-Identifier: Apache-2.0
//
// A release brings new boot firmware over the air: it is tried with its system, and both stay or both go back.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readFip } from '@mbl/builder';
import { findWorkspace } from '@mbl/cli';
import { parseFirmwareCounters, parseFirmwareLog } from '@mbl/formats';
import type { Board } from '@mbl/lab';
import { loadKeys } from '@mbl/trust';
import { assertNever, givesUp } from './support/attacks.ts';
import { ownFirmware } from './support/firmware.ts';
import { imageWithFirmware } from './support/image-with-firmware.ts';
import { mblJson } from './support/mbl.ts';
import { Mirror } from './support/mirror.ts';
import { UpdatedBoard } from './support/updated-board.ts';
import { bootTimeoutMs, imageOf, openWorld, type World } from './support/world.ts';

const patience = { timeoutMs: bootTimeoutMs };
const limit = 1_800_000;
const name = 'firmware-updated';
/** Of the newer firmware: what a board was born with does not start any more once it is confirmed. */
const counters = { trusted: 1, nonTrusted: 2 };
const helper = '/usr/lib/mbl/mbl-native firmware';

describe('a board', { timeout: limit }, () => {
  const stack = new AsyncDisposableStack();
  let world: World;
  let board: Board;
  let updated: UpdatedBoard;
  let repository = '';
  let newer: Buffer;

  before(async () => {
    world = stack.use(await openWorld());
    repository = join(world.directory, 'repository');
    const mirror = stack.use(await Mirror.serve(repository));
    board = await world.board(name);
    const keys = await loadKeys(join(findWorkspace().state, 'keys'));
    // Behind its device tree U-Boot reads nothing: it is the same, and its certificates are others.
    const other = (name: string) => (uBoot: Buffer) => Buffer.concat([uBoot, Buffer.from(name)]);
    newer = await ownFirmware(board, keys, other('newer'), counters);
    await release('1.1', newer);
    const damaged = await ownFirmware(board, keys, other('damaged'), counters);
    const bl31 = readFip(damaged).get('bl31');
    assert.ok(bl31);
    const at = bl31.offset + Math.floor(bl31.size / 2);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    await release('1.2', damaged);
    await board.start();
    updated = await UpdatedBoard.ready(world, board, mirror);
  });
  after(async () => await stack.disposeAsync());

  /** A release of the board's own kernel and root, with another boot firmware. */
  async function release(version: string, fip: Buffer): Promise<void> {
    const folder = join(world.directory, `image-${version}`);
    await imageWithFirmware(await imageOf('development'), folder, { version, fip });
    const quickly = ['--level', '3', '--repository', repository];
    await mblJson(['release', 'create', version, folder, ...quickly], { timeout: limit });
    await mblJson(['release', 'sign', '--repository', repository], { timeout: limit });
  }

  /** The newer firmware runs, by what the bank holds, and the other bank has it too. */
  async function runsNewer(bank: 'a' | 'b'): Promise<void> {
    const read = (offset: number) => `${helper} read ${offset} ${newer.length} | sha256sum`;
    const { stdout } = await board.ssh(`${helper} status; ${read(4194304)}; ${read(0)}`, patience);
    const [status = '', ...digests] = stdout.trim().split('\n');
    assert.match(status, new RegExp(`^bank=${bank} trial=0 `));
    const digest = createHash('sha256').update(newer).digest('hex');
    assert.deepEqual(
      digests.map((line) => line.slice(0, 64)),
      [digest, digest],
    );
    // Each release gives its firmware the version of its own.
    assert.equal(await updated.value('/14/0/2'), '1.1');
    assert.equal(await updated.value('/33400/0/5'), digest);
  }

  test('takes new firmware with a release, tries both, and keeps both', async () => {
    await updated.install('1.1');
    await board.serial.waitFor(/BL1: bank B on trial, attempt 1/, patience);
    await board.serial.waitFor(/mbl-health.*slot b is healthy/, patience);
    await updated.proved();
    await updated.says(0, 1);
    await runsNewer('b');
  });

  test('goes back with its system from a firmware that is refused, and says why', async () => {
    await updated.install('1.2');
    await board.serial.waitFor(/BL1: bank A on trial, attempt 1/, patience);
    await board.serial.waitFor(/BL2: Failed to load image id 3/, patience);
    await board.serial.waitFor(
      /mbl-health.*slot a goes back: its boot firmware did not come up: bank b runs/,
      patience,
    );
    await board.serial.waitFor(/MBL: trying boot_b/, patience);
    await updated.proved();
    await updated.says(0, 8);
    assert.match(String(await updated.value('/33401/0/1')), /boot firmware did not come up/);
    await runsNewer('b');
  });

  test('starts the same version when the bank that ran is damaged, and has it twice again', async () => {
    await board.powerOff();
    assert.deepEqual(parseFirmwareCounters(await board.readPart('firmware_state_b')), { ...counters, os: 0 });
    const said = async () => parseFirmwareLog(await board.readPart('firmware_state_a')).at(-1);
    // What failed in this bank is not in it any more.
    assert.deepEqual(await said(), { event: 'copied', bank: 'a' });
    const { length } = await board.readPart('bank_b');
    await board.writePart('bank_b', Buffer.alloc(length, 0xff));
    await board.start();
    await board.serial.waitFor(/BL1: bank B$/, patience);
    await board.serial.waitFor(/BL1: bank A$/, patience);
    await board.serial.waitFor(/^U-Boot 20/, patience);
    await assertNever(board.serial, givesUp);
    await updated.proved();
    await runsNewer('a');
    await board.powerOff();
    assert.deepEqual(await said(), { event: 'copied', bank: 'b' });
  });
});
