// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Board } from './board.ts';
import { createBoard } from './create-board.ts';
import { qmp } from './qmp.ts';
import { barePartitions, makeBareBuild } from './testing/bare-guest.ts';

const ready = { timeoutMs: 10_000 };
let work = '';
let build = '';
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'lab-recorded-'));
  build = await makeBareBuild(join(work, 'build'));
});
after(async () => await rm(work, { recursive: true, force: true }));

async function make(name: string): Promise<Board> {
  return await createBoard({ directory: join(work, name), name, imageDirectory: build });
}

test('a recorded run is enumerated: what each power cut may have left can be put on the disk', async () => {
  await using board = await make('writes');
  await assert.rejects(board.writeLog(), { code: 'lab/not-recorded' });
  await board.start({ recordWrites: true });
  // The emulator writes through the board's own disk device, as the guest would.
  const write = async (command: string): Promise<void> => {
    const line = `qemu-io -d disk0 ${command}`;
    const execute = 'human-monitor-command';
    const path = join(board.run?.directory ?? '', 'qmp');
    assert.deepEqual(await qmp(path, [{ execute, arguments: { 'command-line': line } }]), ['']);
  };
  for (const value of [0x11, 0x12]) await write(`"write -P ${value} 4M 4k"`);
  await write('flush');
  await write('"write -P 0x13 4M 4k"');
  await write('"write -P 0x14 1M 512"');
  assert.equal((await board.writeLog()).requests.length, 5, 'also while it runs');
  await board.powerOff();
  const log = await board.writeLog();
  assert.equal(log.cut, false);
  assert.deepEqual(
    log.requests.map(({ operation, offset, length }) => [operation, offset, length]),
    [
      ['write', 4 << 20, 4096],
      ['write', 4 << 20, 4096],
      ['flush', 0, 0],
      ['write', 4 << 20, 4096],
      ['write', 1 << 20, 512],
    ],
  );
  const seen: string[] = [];
  await using states = await board.crashStates({ tears: 0 });
  for (const state of states.states) {
    await board.restoreCrashState(states, state);
    const [data] = await board.readPart('data', { length: 1 });
    const [boot] = await board.readPart('boot_a', { length: 1 });
    seen.push(`${data?.toString(16)} ${boot?.toString(16)}`);
  }
  // 66 is what the build put there. Before the flush ended: nothing, either write; after it: the second at least.
  assert.deepEqual(seen, ['66 66', '11 66', '12 66', '13 66', '13 14', '12 14']);
  const data = barePartitions.find(({ name }) => name === 'data');
  await using inData = await board.crashStates({ tears: 0, extent: data });
  assert.equal(inData.states.length, 4, 'a write beside the partition makes no other state of it');
  await using torn = await board.crashStates({ extent: data });
  assert.ok(torn.states.length > 12, `${torn.states.length} states`);
});

test('what the guest programs into its flash is recorded too, in one order with the disk', async () => {
  await using board = await make('flash-writes');
  await board.start({ recordWrites: true });
  await board.serial.waitFor('guest ready', ready);
  await board.serial.write('F');
  await board.serial.waitFor('F', ready);
  await board.powerOff();
  const { requests } = await board.writeLog();
  assert.ok(requests.length > 0 && requests.every(({ medium }) => medium === 'flash'));
  await using states = await board.crashStates({ medium: 'flash', tears: 0 });
  const held: string[] = [];
  for (const state of states.states) {
    await board.restoreCrashState(states, state);
    held.push((await board.readPart('flash', { offset: 1 << 20, length: 4 })).toString('latin1'));
  }
  assert.equal(held[0], '\0\0\0\0');
  assert.ok(held.includes('MBL!'), held.join());
  await using ofDisk = await board.crashStates();
  assert.equal(ofDisk.states.length, 1, 'nothing happened to the disk');
});
