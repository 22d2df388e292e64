// SPDX-License-Identifier: Apache-2.0
//
// Which slot a board starts, and what it does when none starts. The boot state that decides is not signed: whatever it says, the board
// starts what is signed, and it never spins.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Board, createBoard } from '@mbl/lab';
import { assertNever, attack, type Change, flipped, lonelyFactory, readFit } from './support/attacks.ts';
import { bootState, copyOffset, readBootStates } from './support/boot-state.ts';
import { temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs, imageOf } from './support/world.ts';

const stack = new AsyncDisposableStack();
let board: Board;
let intact: Change;

before(async () => {
  const { path: folder } = stack.use(await temporaryFolder());
  const options = { directory: join(folder, 'board'), name: 'slots', factory: await lonelyFactory(folder) };
  board = stack.use(await createBoard({ ...options, imageDirectory: await imageOf('development') }));
  intact = { part: 'boot_b', bytes: await readFit(board) };
});
after(async () => await stack.disposeAsync());

const patience = { timeoutMs: bootTimeoutMs };
const starts = 'Starting kernel';

function state(copy: 0 | 1, bytes: Uint8Array): Change {
  return { part: 'state', offset: copy * copyOffset, bytes };
}

async function slotsTried(): Promise<string[]> {
  const lines = await board.serial.lines();
  return lines.flatMap(({ text }) => /MBL: trying (boot_.)/.exec(text)?.[1] ?? []);
}

test('every start is counted before it happens, in the copy that does not hold', async () => {
  const changes = [state(0, bootState({ sequence: 7 })), state(1, bootState({ sequence: 6 }))];
  await attack(board, changes, async () => {
    await board.serial.waitFor(starts, patience);
    await board.powerOff();
    assert.deepEqual(await readBootStates(board), [
      'MBL-BOOT 1 0000000007 a a 00 00',
      'MBL-BOOT 1 0000000008 a a 01 00',
    ]);
  });
});

for (const [title, copies] of [
  [
    'noise',
    [Buffer.alloc(512, 0xa5), Buffer.from('MBL-BOOT 1 99999999999999999999 c d -1 %s\n'.padEnd(512, 'x'))],
  ],
  [
    'torn',
    [
      bootState({ sequence: 9 }).subarray(0, 20),
      Buffer.concat([bootState({ sequence: 8 }).subarray(0, 32), Buffer.from('x')]),
    ],
  ],
] as const) {
  test(`a boot state of ${title} counts as none`, async () => {
    await attack(board, [state(0, copies[0]), state(1, copies[1])], async () => {
      await board.serial.waitFor(starts, patience);
      assert.deepEqual(await slotsTried(), ['boot_a']);
      await assertNever(board.serial, /waiting/);
    });
  });
}

test('a slot that was started three times and never proved good gives way to the other', async () => {
  await attack(board, [intact, state(0, bootState({ sequence: 1, attempts: [3, 0] }))], async () => {
    await board.serial.waitFor(starts, patience);
    assert.deepEqual(await slotsTried(), ['boot_b']);
    await assertNever(board.serial, /waiting/);
    await board.powerOff();
    assert.ok((await readBootStates(board)).includes('MBL-BOOT 1 0000000002 a b 03 01'));
  });
});

test('a slot with a damaged FIT gives way to the other in the same boot', async () => {
  await attack(board, [await flipped(board, 'kernel'), intact], async () => {
    await board.serial.waitFor('MBL: refused boot_a', patience);
    await board.serial.waitFor(starts, patience);
    assert.deepEqual(await slotsTried(), ['boot_a', 'boot_b']);
  });
});

test('a boot state that names an empty slot costs nothing', async () => {
  await attack(board, [state(1, bootState({ sequence: 3, first: 'b', tried: 'b' }))], async () => {
    await board.serial.waitFor('MBL: boot_b holds no FIT', patience);
    await board.serial.waitFor(starts, patience);
    await assertNever(board.serial, /waiting/);
  });
});

test('a board that never proves good takes its time, five minutes at most', async () => {
  await attack(board, [state(0, bootState({ sequence: 3, attempts: [3, 99] }))], async () => {
    await board.serial.waitFor(/boot_a was started 3 times and never proved good: waiting 8 s/, patience);
    await board.serial.waitFor(starts, patience);
  });
  await attack(board, [state(0, bootState({ sequence: 3, attempts: [99, 99] }))], async () => {
    await board.serial.waitFor(/boot_a was started 99 times and never proved good: waiting 300 s/, patience);
  });
});

test('a board with no slot to start says so and does not spin', async () => {
  const changes = [await flipped(board, 'kernel'), { part: 'boot_b', bytes: Buffer.alloc(4096, 0x55) }];
  await attack(board, changes, async () => {
    for (const seconds of [2, 4, 8])
      await board.serial.waitFor(`MBL: no slot can be started: waiting ${seconds} s`, patience);
    await board.serial.waitFor(/boot_a was started \d times and never proved good: waiting \d+ s/, patience);
    const resets = (await board.serial.lines()).filter(({ text }) =>
      text.includes('Booting Trusted Firmware'),
    );
    assert.equal(resets.length, 4, 'one reset for each pause');
  });
});
