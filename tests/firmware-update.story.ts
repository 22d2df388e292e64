// SPDX-License-Identifier: Apache-2.0
//
// A release brings new boot firmware over the air: it is tried with its system, and both stay or both go back. The first one is pushed, by a server that
// knows only the standard.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
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
import { StandardServer } from './support/standard-server.ts';
import { UpdatedBoard } from './support/updated-board.ts';
import { bootTimeoutMs, imageOf, openWorld, until, type World } from './support/world.ts';

const patience = { timeoutMs: bootTimeoutMs };
const limit = 1_800_000;
const name = 'firmware-updated';
/** Of the newer firmware: what a board was born with does not start any more once it is confirmed. */
const counters = { trusted: 1, nonTrusted: 2 };
/** For who reads the story's output. */
const say = (line: string): void => void process.stdout.write(`      ${line}\n`);
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

  /** LwM2M Core 1.1 Appendix E.6: Package, State 2, Update. */
  async function push(version: string): Promise<void> {
    const file = join(world.directory, 'package.tar');
    await mblJson(['release', 'package', version, file, '--repository', repository], { timeout: limit });
    const bytes = await readFile(file);
    await world.withoutService(async () => {
      await using server = await StandardServer.start(
        join(world.directory, 'service'),
        world.file.ports.lwm2m,
      );
      const device = await server.device();
      const value = async (path: string) => (await device.read(path))[0]?.value;
      assert.equal(await value('/5/0/9'), 2, 'it takes both ways');
      const peak = async () =>
        (
          await board.ssh('grep VmHWM /proc/$(systemctl show -P MainPID mbl-cloud-client)/status', patience)
        ).stdout
          .replace('VmHWM:', '')
          .trim();
      const before = await peak();
      const begun = performance.now();
      await device.write('/5/0/0', bytes);
      const seconds = ((performance.now() - begun) / 1000).toFixed(1);
      say(
        `${bytes.length} bytes in ${seconds} s; memory of the client at most: ${before}, then ${await peak()}`,
      );
      await until('the package is in its slot', async () => (await value('/5/0/3')) !== 1, bootTimeoutMs);
      say(`in its slot after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
      assert.deepEqual(
        [await value('/5/0/3'), await value('/5/0/5'), await value('/5/0/7')],
        [2, 0, version],
      );
      const left = await board.ssh('ls -A /var/lib/mbl-cloud-client', patience);
      assert.equal(left.stdout, '');
      await device.execute('/5/0/2');
    });
  }

  test('takes new firmware with a release that is pushed, tries both, and keeps both', async () => {
    await push('1.1');
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
