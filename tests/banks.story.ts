// SPDX-License-Identifier: Apache-2.0
//
// Two banks of boot firmware and counters that only rise. Whatever a bank holds, and whenever the power fails, the board reaches U-Boot;
// what is older than what proved good does not start; and only the secure world changes anything. Boards start as far as U-Boot, or a
// caller in its place, mostly.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { findWorkspace } from '@mbl/cli';
import {
  type FirmwareCounters,
  type FirmwareEntry,
  foldFirmwareLog,
  formatFirmwareCounters,
  formatFirmwareLog,
  parseFirmwareCounters,
  parseFirmwareLog,
} from '@mbl/formats';
import { type Board, createBoard } from '@mbl/lab';
import { type KeySet, loadKeys } from '@mbl/trust';
import { assertNever, attack, type Change, flipped, givesUp, lonelyFactory } from './support/attacks.ts';
import { type Call, type Calls, callingFirmware, withCertificate } from './support/firmware.ts';
import { temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs, imageOf } from './support/world.ts';

const stack = new AsyncDisposableStack();
let folder = '';
let keys: KeySet;
let board: Board;
/** The image's own firmware. */
let genuine: Buffer;

before(async () => {
  ({ path: folder } = stack.use(await temporaryFolder()));
  keys = await loadKeys(join(findWorkspace().state, 'keys'));
  const options = { directory: join(folder, 'board'), name: 'banks', factory: await lonelyFactory(folder) };
  board = stack.use(await createBoard({ ...options, imageDirectory: await imageOf('development') }));
  genuine = await board.readPart('bank_a');
});
after(async () => await stack.disposeAsync());

const patience = { timeoutMs: bootTimeoutMs };
const uBoot = /^U-Boot 20/;
/** The last line of a caller in U-Boot's place. */
const called = /^n\.$/;
const none: FirmwareCounters = { trusted: 0, nonTrusted: 0, os: 0 };

// os/firmware/include/mbl_firmware_update.h
const [status, counter, osStarts, confirm, tryBank, write, reject, read, copy] = Array.from(
  { length: 9 },
  (_, i) => 0xc200_4d00 + i,
) as [number, number, number, number, number, number, number, number, number];
const [unknown, invalid, denied] = [-1n, -2n, -3n];
const bankSize = 0x40_0000n;

function log(text: string): FirmwareEntry[] {
  return text.split(' ').map((word) => {
    const [event, bank] = word.split('-');
    return { event, bank } as FirmwareEntry;
  });
}
const logged = (text: string): Change => ({ part: 'firmware_state_a', bytes: formatFirmwareLog(log(text)) });
const counted = (counters: FirmwareCounters): Change => ({
  part: 'firmware_state_b',
  bytes: formatFirmwareCounters(counters),
});
const inBank = (bank: 'a' | 'b', bytes: Uint8Array): Change => ({ part: `bank_${bank}`, bytes });
const calling = async (calls: Calls): Promise<Buffer> => await callingFirmware(board, keys, folder, calls);

/** What the log of a board that is off says, as `log` reads it. */
async function logOf(): Promise<string> {
  const entries = parseFirmwareLog(await board.readPart('firmware_state_a'));
  return entries.map(({ event, bank }) => `${event}-${bank}`).join(' ');
}
const countersOf = async (): Promise<FirmwareCounters> =>
  parseFirmwareCounters(await board.readPart('firmware_state_b'));

async function bootsOf(): Promise<string[]> {
  const lines = await board.serial.lines();
  return lines.flatMap(({ text }) => /^NOTICE: +BL1: (bank .*)$/.exec(text)?.[1] ?? []);
}

/** What came back from the calls of a caller, `s` or `n`: x0, x1, x2. */
async function answers(letter: 's' | 'n'): Promise<bigint[][]> {
  const lines = await board.serial.lines();
  return lines.flatMap(({ text }) => {
    const numbers = new RegExp(`^${letter}((?: [0-9a-f]{16}){4})`).exec(text)?.[1]?.trim().split(' ');
    return numbers === undefined
      ? []
      : [numbers.slice(1).map((hex) => BigInt.asIntN(64, BigInt(`0x${hex}`)))];
  });
}
const firsts = (all: readonly bigint[][]): (bigint | undefined)[] => all.map(([x0]) => x0);

test('a bank on trial that nobody confirms has three starts, and then the accepted one is back', async () => {
  // A word that a cut left half programmed is in the way.
  const torn = Buffer.from('0101fffe', 'hex');
  const words = Buffer.concat([torn, formatFirmwareLog(log('try-b'))]);
  await attack(board, [inBank('b', genuine), { part: 'firmware_state_a', bytes: words }], async () => {
    await board.serial.waitFor(uBoot, patience);
    assert.deepEqual(await bootsOf(), ['bank B on trial, attempt 1']);
    await board.powerOff();
    assert.equal(await logOf(), 'try-b attempt-b');
    for (const boots of ['bank B on trial, attempt 2', 'bank B on trial, attempt 3', 'bank A', 'bank A']) {
      await board.start();
      await board.serial.waitFor(uBoot, patience);
      assert.deepEqual(await bootsOf(), [boots]);
      await board.powerOff();
    }
    assert.equal(await logOf(), 'try-b attempt-b attempt-b attempt-b failed-b');
    assert.deepEqual(await countersOf(), none);
  });
});

for (const [what, damage] of [
  ['whose BL2 is damaged', async () => [inBank('b', genuine), await inB('bl2')]],
  ['whose U-Boot is damaged', async () => [inBank('b', genuine), await inB('u-boot')]],
  ['that is erased', async () => []],
] as const)
  test(`a bank on trial ${what} gives way at once`, async () => {
    await attack(board, [...(await damage()), logged('try-b')], async () => {
      await board.serial.waitFor(uBoot, patience);
      assert.deepEqual(await bootsOf(), ['bank B on trial, attempt 1', 'bank A']);
      await assertNever(board.serial, givesUp);
      await board.powerOff();
      assert.equal(await logOf(), 'try-b attempt-b failed-b');
    });
  });

/** A flipped bit in bank B, where bank A has `part`. */
async function inB(part: string): Promise<Change> {
  const { offset = 0, bytes } = await flipped(board, part);
  const { parts } = board.image.flash;
  const start = (parts[part]?.offset ?? 0) - (parts['bank_a']?.offset ?? 0);
  return { part: 'bank_b', offset: start + offset, bytes };
}

test('an accepted bank that is damaged gives way to the other one, which the next start takes at once', async () => {
  await attack(board, [inBank('b', genuine), await flipped(board, 'bl31')], async () => {
    await board.serial.waitFor(uBoot, patience);
    assert.deepEqual(await bootsOf(), ['bank A', 'bank B']);
    await board.powerOff();
    assert.equal(await logOf(), 'failed-a');
    await board.start();
    await board.serial.waitFor(uBoot, patience);
    assert.deepEqual(await bootsOf(), ['bank B']);
  });
});

for (const [title, stored, image] of [
  ['trusted', { ...none, trusted: 1 }, 'Failed to load BL2 firmware'],
  ['non-trusted', { ...none, nonTrusted: 1 }, 'BL2: Failed to load image id 5 (-80)'],
] as const)
  test(`firmware below the stored ${title} counter is refused, and the other bank starts`, async () => {
    const { trusted, nonTrusted } = stored;
    const normal: Call[] = [[status], [counter, 0], [counter, 1], [counter, 2]];
    const bytes = await calling({ normal, counters: { trusted, nonTrusted } });
    await attack(board, [inBank('b', bytes), counted(stored)], async () => {
      await board.serial.waitFor(image, patience);
      await board.serial.waitFor(called, patience);
      assert.deepEqual(await bootsOf(), ['bank A', 'bank B']);
      assert.deepEqual(await answers('n'), [
        [0n, 1n, bankSize],
        [0n, BigInt(trusted), BigInt(trusted)],
        [0n, BigInt(nonTrusted), BigInt(nonTrusted)],
        [0n, 0n, 0n],
      ]);
    });
  });

test('firmware that would refuse itself once its counter is stored fails on trial', async () => {
  const firmware = async (trusted: number) =>
    await calling({ normal: [], counters: { trusted, nonTrusted: 0 } });
  const bytes = withCertificate(await firmware(1), await firmware(2), 'soc-fw-cert');
  for (const mixed of [bytes, withCertificate(await firmware(1), await firmware(0), 'soc-fw-cert')])
    await attack(board, [inBank('b', mixed), logged('try-b')], async () => {
      await board.serial.waitFor('BL2: Failed to load image id 3 (-80)', patience);
      await board.serial.waitFor(uBoot, patience);
      assert.deepEqual(await bootsOf(), ['bank B on trial, attempt 1', 'bank A']);
    });
});

test('the normal world reads what runs, says once what starts, and changes nothing', async () => {
  const normal: Call[] = [
    [status],
    [counter, 3],
    [osStarts, 4],
    [osStarts, 1025],
    [osStarts, 5],
    [osStarts, 6],
    [counter, 2],
    ...[confirm, tryBank, write, reject, read, copy].map((call): Call => [call, 1, 0x0e40_0000, 4096]),
    [copy + 1],
  ];
  const before = await board.readPart('bank_b');
  await attack(board, [inBank('a', await calling({ normal })), counted({ ...none, os: 5 })], async () => {
    await board.serial.waitFor(called, patience);
    const said = await answers('n');
    assert.deepEqual(said[0], [0n, 0n, bankSize]);
    assert.deepEqual(said[6], [0n, 5n, 5n]);
    assert.deepEqual(firsts(said), [
      ...[0n, invalid, denied, invalid, 0n, denied, 0n],
      ...[denied, denied, denied, denied, denied, denied],
      unknown,
    ]);
    await board.powerOff();
    assert.equal(await logOf(), '');
    assert.deepEqual(await countersOf(), { ...none, os: 5 });
    assert.ok((await board.readPart('bank_b')).equals(before));
  });
});

// In OP-TEE's memory, where nothing of the caller is.
const memory = 0x0e40_0000;
const block = 0x4_0000;

test('the secure world writes the idle bank, asks for a trial, and takes it back', async () => {
  const old = randomBytes(block);
  const secure: Call[] = [
    [1, memory, block / 4, 0x1234_5678],
    // A block that has to be erased, one that is erased, a part of one.
    [write, 0, memory, block],
    [write, block, memory, block],
    [write, 2 * block, memory, 10],
    // From the middle of the bank, over what is there.
    [1, memory, 1024, 0],
    [read, 2 * block + 8, memory, 4],
    [2, memory],
    [2, memory + 4],
    // Beyond the bank, not at a block, too much, nothing, from elsewhere.
    ...[
      [Number(bankSize), memory, block],
      [Number(bankSize) - block, memory, block + 1],
      [4096, memory, 4096],
      [0, memory, block + 4],
      [0, memory, 0],
      [0, 0x4000_0000, 4096],
      [0, 0x0e0f_f000, 8192],
      [0, 0x0eff_f000, 8192],
      [0, 2 ** 52, 4096],
    ].map((parameters): Call => [write, ...(parameters as [number, number, number])]),
    [tryBank, 0],
    [tryBank, 2],
    [reject],
    [tryBank, 1],
    [tryBank, 1],
    [write, 0, memory, block],
    [reject],
    [reject],
    [osStarts, 1],
    [confirm],
    ...Array.from({ length: 8 }, (): Call[] => [[tryBank, 1], [reject]]).flat(),
    [tryBank, 1],
  ];
  const a = await calling({ secure, normal: [[status]] });
  await attack(
    board,
    [inBank('a', a), inBank('b', Buffer.concat([old, Buffer.alloc(2 * block, 0xff)]))],
    async () => {
      await board.serial.waitFor(called, patience);
      const said = await answers('s');
      assert.deepEqual(firsts(said), [
        ...[0n, 0n, 0n, 0n, 0n, 0n],
        ...[invalid, invalid, invalid, invalid, invalid, invalid, invalid, invalid, invalid],
        ...[denied, invalid, denied, 0n, denied, denied, 0n, denied, denied, 0n],
        // Eight trials may be asked for in one start.
        ...Array.from({ length: 14 }, () => 0n),
        ...[denied, denied, denied],
      ]);
      assert.equal(said[4]?.[1], 0xffff_5678n, 'bytes 8 to 12 of what was written');
      assert.equal(said[5]?.[1], 0n, 'no more than was asked for');
      assert.deepEqual(await answers('n'), [[0n, 0x1_0000n, bankSize]]);
      await board.powerOff();
      const expected = Buffer.alloc(3 * block, Buffer.from('78563412', 'hex'));
      expected.fill(0xff, 2 * block + 10);
      assert.ok((await board.readPart('bank_b', { length: expected.length })).equals(expected));
    },
  );
});

test('the idle bank becomes a copy of the running one, which counts as good', async () => {
  const blocks = Number(bankSize) / block;
  const all = Array.from({ length: blocks }, (_, index): Call => [copy, index * block]);
  const secure: Call[] = [
    // Not from its start, not at a block, beyond the bank.
    ...[block, 4, Number(bankSize)].map((offset): Call => [copy, offset]),
    ...all,
    // Nothing is left to be copied. One block is left out.
    ...all.slice(0, 2),
    [copy, 3 * block],
    // Not while the bank is wanted, nor when something was brought to it.
    [tryBank, 1],
    [copy, 0],
    [reject],
    [copy, 0],
    [write, 15 * block, memory, 4],
    [copy, 0],
  ];
  const a = await calling({ secure, normal: [] });
  // What failed is there, and an erased block where the other bank has something.
  const b = Buffer.concat([randomBytes(block), Buffer.alloc(block, 0xff), randomBytes(2 * block)]);
  await attack(board, [inBank('a', a), inBank('b', b), logged('failed-b')], async () => {
    await board.serial.waitFor(called, patience);
    const said = await answers('s');
    assert.deepEqual(firsts(said), [
      ...[denied, invalid, invalid],
      ...all.map(() => 0n),
      ...[0n, 0n, denied],
      ...[0n, denied, 0n, 0n, 0n, denied],
    ]);
    assert.deepEqual(
      said.slice(3, 3 + blocks + 2).map(([, changed]) => changed),
      [1n, 1n, 1n, 1n, ...Array.from({ length: blocks - 2 }, () => 0n)],
    );
    await board.powerOff();
    assert.equal(await logOf(), 'failed-b copied-b try-b failed-b');
    const [running, idle] = [await board.readPart('bank_a'), await board.readPart('bank_b')];
    assert.ok(idle.subarray(0, 15 * block).equals(running.subarray(0, 15 * block)));
  });
});

test('a trial that the secure world rejects ends with the start, and cannot be confirmed any more', async () => {
  const b = await calling({
    secure: [
      [write, 0, memory, 4],
      [tryBank, 0],
      [reject],
      [confirm],
      [write, 0, memory, 4],
      [tryBank, 0],
      [status],
    ],
    normal: [],
  });
  await attack(board, [inBank('b', b), logged('try-b')], async () => {
    await board.serial.waitFor(called, patience);
    const said = await answers('s');
    assert.deepEqual(firsts(said), [denied, denied, 0n, denied, denied, denied, 0n]);
    assert.equal(said[6]?.[1], 0x101n);
    await board.powerOff();
    assert.equal(await logOf(), 'try-b attempt-b failed-b');
    await board.start();
    await board.serial.waitFor(uBoot, patience);
    assert.deepEqual(await bootsOf(), ['bank A']);
  });
});

test('power cuts at every write of a trial that is confirmed: the board starts, and what was begun is completed', async (t) => {
  const a = await calling({ secure: [[tryBank, 1]], normal: [[status]] });
  const counters = { trusted: 2, nonTrusted: 3 };
  const b = await calling({ secure: [[status], [confirm], [confirm], [status]], normal: [], counters });
  await attack(board, [inBank('a', a), inBank('b', b), counted(none)], async () => {
    await board.powerOff();
    await board.writePart('firmware_state_a', Buffer.alloc(64, 0xff));
    await board.start({ recordWrites: true });
    await board.serial.waitFor(called, patience);
    await board.reset();
    await board.serial.waitFor('bank B on trial, attempt 1', patience);
    await board.serial.waitFor(called, patience);
    assert.deepEqual((await answers('s')).slice(1), [
      [0n, 0x103n, bankSize],
      ...[0, 1].map(() => [0n, 0n, 0n]),
      [0n, 0x1_0101n, bankSize],
    ]);
    await board.powerOff();
    assert.equal(await logOf(), 'try-b attempt-b confirmed-b');
    assert.deepEqual(await countersOf(), { ...none, ...counters });

    // The chips take one command after the other: a cut leaves those until then.
    const bounds = { subsets: 0, samples: 0, tears: 0 };
    await using states = await board.crashStates({ medium: 'flash', ...bounds });
    const prefixes = states.states.filter(({ selection }) => selection.flipped.length === 0);
    t.diagnostic(`${prefixes.length} states of the flash`);
    assert.ok(prefixes.length >= 9, 'each write is a state: three words, five steps');
    for (const state of prefixes) {
      await board.restoreCrashState(states, state);
      const before = foldFirmwareLog(log(await logOf()));
      await board.start();
      await board.serial.waitFor(called, patience);
      const boots = await bootsOf();
      assert.equal(boots.length, 1, `${state.describe()}: ${boots.join(', ')}`);
      await board.powerOff();
      const inB = before.trial === 'b' || before.accepted === 'b';
      assert.deepEqual(await countersOf(), inB ? { ...none, ...counters } : none, state.describe());
      assert.equal(foldFirmwareLog(log(await logOf())).accepted, inB ? 'b' : 'a', state.describe());
    }
  });
});
