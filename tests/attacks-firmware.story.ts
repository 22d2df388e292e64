// SPDX-License-Identifier: Apache-2.0
//
// Somebody changes what a board boots from. Each link of the chain of trust is broken on its own; the link before it must say so and
// Linux must not start, and the board must not stand still either. One board, made whole again after each attack.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { findWorkspace } from '@mbl/cli';
import { parseFirmwareLog } from '@mbl/formats';
import { type Board, createBoard } from '@mbl/lab';
import { initKeys, loadKeys } from '@mbl/trust';
import {
  assertNever,
  attack,
  type Change,
  environmentImage,
  firmwareRefused,
  flipped,
  givesUp,
  linuxStarts,
  lonelyFactory,
  readFit,
  repackFit,
  withFile,
} from './support/attacks.ts';
import { makeIntruder, ownFirmware } from './support/firmware.ts';
import { temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs, imageOf } from './support/world.ts';

const stack = new AsyncDisposableStack();
let folder = '';
let board: Board;

before(async () => {
  ({ path: folder } = stack.use(await temporaryFolder()));
  const options = {
    directory: join(folder, 'board'),
    name: 'attacked',
    factory: await lonelyFactory(folder),
  };
  board = stack.use(await createBoard({ ...options, imageDirectory: await imageOf('development') }));
});
after(async () => await stack.disposeAsync());

const patience = { timeoutMs: bootTimeoutMs };

/** U-Boot says `refusal`, tries the other slot, which is empty, and resets the board. */
async function refused(changes: readonly Change[], refusal: RegExp): Promise<void> {
  await attack(board, changes, async () => {
    await board.serial.waitFor('MBL: trying boot_a', patience);
    await board.serial.waitFor(refusal, patience);
    await board.serial.waitFor('MBL: refused boot_a', patience);
    await board.serial.waitFor('MBL: refused boot_b', patience);
    await board.serial.waitFor('Booting Trusted Firmware', patience);
    await assertNever(board.serial, linuxStarts);
  });
}

test('a board that nobody touched starts Linux: what the attacks are measured against', async () => {
  await attack(board, [], async () => {
    await board.serial.waitFor(linuxStarts, patience);
    await assertNever(board.serial, /ERROR|Bad hash|Failed|refused/);
  });
});

test('one flipped byte in BL2', async () => {
  await firmwareRefused(
    board,
    [await flipped(board, 'bl2')],
    /ERROR:\s+Failed to load BL2 firmware/,
    /BL2:|U-Boot/,
  );
});

test('one flipped byte in BL31', async () => {
  await firmwareRefused(
    board,
    [await flipped(board, 'bl31')],
    /ERROR:\s+BL2: Failed to load image id 3 \(-80\)/,
    /BL31:|U-Boot/,
  );
});

test('one flipped byte in OP-TEE', async () => {
  await firmwareRefused(
    board,
    [await flipped(board, 'optee')],
    /ERROR:\s+BL2: Failed to load image id (?:4|21|22) \(-80\)/,
    /BL31:|U-Boot/,
  );
});

test('one flipped byte in U-Boot', async () => {
  await firmwareRefused(
    board,
    [await flipped(board, 'u-boot')],
    /ERROR:\s+BL2: Failed to load image id 5 \(-80\)/,
    /BL31:|U-Boot/,
  );
});

test('an erased bank', async () => {
  const { length } = await board.readPart('bank_a');
  for (const bytes of [Buffer.alloc(length, 0xff), Buffer.alloc(length), randomBytes(length)])
    await firmwareRefused(
      board,
      [{ part: 'bank_a', bytes }],
      /ERROR:\s+Failed to load BL2 firmware/,
      /BL2:|U-Boot/,
    );
});

// TF-A, include/tools_share/firmware_image_package.h: a header of 16 bytes, then entries of 40: UUID, offset, size, flags.
const [entries, offsetIn, sizeIn] = [16, 16, 24];
const number = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
};
for (const [title, offset, bytes] of [
  ['names no BL2', entries, randomBytes(16)],
  ['puts BL2 where no memory is', entries + offsetIn, number(0xffff_ffff_ffff_f000n)],
  ['puts BL2 behind the flash', entries + offsetIn, number(0x1000_0000n)],
  ['says that BL2 is as large as a number can be', entries + sizeIn, number(0xffff_ffff_ffff_ffffn)],
  [
    'has no end',
    0,
    Buffer.concat(
      Array(200).fill(Buffer.concat([Buffer.from('010064aa78563412', 'hex'), Buffer.alloc(32, 1)])),
    ),
  ],
] as const)
  test(`a table of the FIP that ${title}`, async () => {
    await attack(board, [{ part: 'bank_a', offset, bytes }], async () => {
      await board.serial.waitFor('Booting Trusted Firmware', patience);
      await board.serial.waitFor(givesUp, patience);
      await assertNever(board.serial, /BL2:|BL31:|U-Boot/);
    });
  });

test('the normal world can neither read nor write the flash of the firmware, not even in the place of U-Boot', async () => {
  const keys = await loadKeys(join(findWorkspace().state, 'keys'));
  const {
    bl1 = { offset: 0 },
    bank_b: other = { offset: 0 },
    firmware_state_a: state = { offset: 0 },
  } = board.image.flash.parts;
  // The chip behind it is the normal world's: what the intruder does works where it may.
  const open = board.image.flash.size;
  const secure = [bl1.offset, other.offset, state.offset, open - 4];
  const intruder = await makeIntruder(folder, [open, ...secure]);
  const before = await board.readPart('flash');
  const bytes = await ownFirmware(board, keys, () => intruder);
  const whole = Buffer.from(before);
  whole.set(bytes, board.image.flash.parts['bank_a']?.offset ?? 0);
  await attack(board, [{ part: 'bank_a', bytes }], async () => {
    await board.serial.waitFor('intruder: end', patience);
    const said = (await board.serial.lines()).flatMap(({ text }) => /^intruder: (.*)$/.exec(text)?.[1] ?? []);
    const hex = (address: number): string => address.toString(16).padStart(8, '0');
    assert.match(said[0] ?? '', new RegExp(`^read ${hex(open)} answers [0-9a-f]{8}$`));
    // 0x89 is Intel, whose chips QEMU has here.
    assert.equal(said[1], `write ${hex(open)} answers 00890089`);
    assert.deepEqual(said.slice(2), [
      ...secure.flatMap((address) => [`read ${hex(address)} refused`, `write ${hex(address)} refused`]),
      'end',
    ]);
    await board.powerOff();
    assert.ok((await board.readPart('flash')).equals(whole), 'the flash is as it was');
  });
});

test('a board whose firmware is refused in both banks restarts again and again, and pauses before each time', async () => {
  await attack(board, [await flipped(board, 'bl31')], async () => {
    // The first refusal leaves another bank to try, at once.
    await board.serial.waitFor('Bank A failed (-80): recorded', patience);
    let refused: Date | undefined;
    for (let restart = 0; restart < 3; restart++) {
      const { line: started } = await board.serial.waitFor('Booting Trusted Firmware', patience);
      if (refused !== undefined) {
        const paused = (started.at.getTime() - refused.getTime()) / 1000;
        // The board's clock is the host's: a busy host makes the pause no shorter.
        assert.ok(paused > 19 && paused < 60, `a pause of ${paused} s`);
      }
      ({
        line: { at: refused },
      } = await board.serial.waitFor(givesUp, patience));
    }
    const starts = (await board.serial.lines()).filter(({ text }) =>
      text.includes('Booting Trusted Firmware'),
    );
    assert.equal(starts.length, 4);
    await assertNever(board.serial, linuxStarts);
    const chosen = (await board.serial.lines()).flatMap(({ text }) => /BL1: bank (.)$/.exec(text)?.[1] ?? []);
    assert.deepEqual(chosen, ['A', 'B', 'A', 'B'], 'by turns');
    await board.powerOff();
    // Neither is recorded again and again.
    assert.deepEqual(parseFirmwareLog(await board.readPart('firmware_state_a')), [
      { event: 'failed', bank: 'a' },
      { event: 'failed', bank: 'b' },
    ]);
  });
});

const badHash = /sha256 error!/;
for (const [part, title] of [
  ['kernel', 'the kernel'],
  ['initramfs', 'the initramfs'],
  ['fdt', 'the device tree'],
] as const) {
  test(`one flipped byte in ${title} of the FIT`, async () => {
    await refused([await flipped(board, part)], badHash);
  });
}

test('the kernel command line changed on the disk', async () => {
  // It is in the signed device tree; the change keeps the length, so that the device tree stays valid.
  const wanted = Buffer.from('console=ttyAMA0');
  const at = (await board.readPart('fdt')).indexOf(wanted);
  assert.notEqual(at, -1, 'the device tree holds the command line');
  const bytes = Buffer.from('rdinit=/bin/sh '.padEnd(wanted.length));
  await refused([{ part: 'fdt', offset: at, bytes }], badHash);
});

test('a FIT that another key signed', async () => {
  const keys = await initKeys(join(folder, 'foreign-keys'), { profile: 'development' });
  const fit = await repackFit(board, folder, keys.keys.fit);
  await refused([{ part: 'fit', bytes: fit }], /Failed to verify required signature 'key-fit'/);
});

test('a FIT that nobody signed', async () => {
  const fit = await repackFit(board, folder, undefined);
  await refused([{ part: 'fit', bytes: fit }], /Failed to verify required signature 'key-fit'/);
});

test('the other slot takes no foreign FIT either', async () => {
  const fit = await repackFit(board, folder, undefined);
  const genuine = await readFit(board);
  const erased = { part: 'boot_a', bytes: Buffer.alloc(genuine.length) };
  await attack(board, [erased, { part: 'boot_b', bytes: fit }], async () => {
    await board.serial.waitFor('MBL: trying boot_b', patience);
    await board.serial.waitFor(/Failed to verify required signature 'key-fit'/, patience);
    await board.serial.waitFor('MBL: refused boot_b', patience);
    await assertNever(board.serial, linuxStarts);
  });
});

test('a U-Boot environment on the disk and in the flash has no effect', async () => {
  const size = 0x2000;
  const environment = await environmentImage(
    folder,
    {
      bootcmd: 'echo MBL: foreign environment',
      preboot: 'echo MBL: foreign environment',
      bootargs: 'init=/bin/sh foreign',
      bootdelay: '10',
      stdin: 'serial',
    },
    size,
  );
  // Where U-Boot's storages put it: a file `uboot.env` (ENV_IS_IN_EXT4), before the first partition (ENV_IS_IN_MMC), at the start of a
  // partition, at the end of the flash (ENV_IS_IN_FLASH), which is behind the counters in the last block.
  const files = await withFile((await board.readPart('config')).length, folder, 'uboot.env', environment);
  const flash = board.image.flash.size;
  const gap = (offset: number): Change => ({ part: 'disk', offset, bytes: environment });
  const changes: Change[] = [
    { part: 'config', bytes: files },
    ...[0x8000, 0x40000, 0x80000, 0xc0000].map(gap),
    { part: 'boot_b', bytes: environment },
    { part: 'flash', offset: flash - size, bytes: environment },
  ];
  await attack(board, changes, async () => {
    await board.serial.waitFor('Loading Environment from <NULL>', patience);
    await board.serial.waitFor(/In:\s+nulldev/, patience);
    await board.serial.waitFor('MBL: trying boot_a', patience);
    await board.serial.waitFor('Starting kernel', patience);
    await board.serial.waitFor(/root@mbl.*# /, patience);
    await board.serial.write('cat /proc/cmdline\n');
    const { line } = await board.serial.waitFor(/console=ttyAMA0,115200 .*panic=1/, patience);
    assert.doesNotMatch(line.text, /foreign|init=/);
    await assertNever(board.serial, /MBL: foreign environment|MBL: refused/);
  });
});
