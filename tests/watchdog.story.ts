// SPDX-License-Identifier: Apache-2.0
//
// Something on the board hangs: OP-TEE, U-Boot, the kernel, the first process. Nobody is there to press a button. The watchdog of the secure
// world restarts the board each time, and it works again. Root cannot stop it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { findWorkspace } from '@mbl/cli';
import { type FirmwareEntry, formatFirmwareLog } from '@mbl/formats';
import { type Board, createBoard } from '@mbl/lab';
import { type KeySet, loadKeys } from '@mbl/trust';
import {
  assertNever,
  attack,
  type Change,
  givesUp,
  linuxStarts,
  lonelyFactory,
  repackFit,
} from './support/attacks.ts';
import { changedFirmware } from './support/firmware.ts';
import { temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs, imageOf } from './support/world.ts';

const patience = { timeoutMs: bootTimeoutMs };
const restarts = /watchdog: no sign of life, restarting/;
/** Two ways to hang: `b .`, and `wfi; b .-4`, which leaves the processor to others. */
const spin = Buffer.from('00000014', 'hex');
const sleepOn = Buffer.from('7f2003d5ffffff17', 'hex');

/** Waits until the watchdog has restarted the board; gives the seconds since `since`. */
async function restarted(board: Board, since: Date): Promise<number> {
  const { line } = await board.serial.waitFor(restarts, patience);
  await board.serial.waitFor('Booting Trusted Firmware', patience);
  return (line.at.getTime() - since.getTime()) / 1000;
}

// Each waits for minutes of real time: they wait together, on a board each.
describe('a watchdog restarts a board', { concurrency: true, timeout: 900_000 }, () => {
  const stack = new AsyncDisposableStack();
  let folder = '';
  let keys: KeySet;
  let boards: Readonly<Record<'U-Boot' | 'OP-TEE' | 'BL2' | 'kernel' | 'linux', Board>>;

  before(async () => {
    ({ path: folder } = stack.use(await temporaryFolder()));
    keys = await loadKeys(join(findWorkspace().state, 'keys'));
    const [factory, imageDirectory] = [await lonelyFactory(folder), await imageOf('development')];
    const make = async (name: string) =>
      stack.use(
        await createBoard({ directory: join(folder, 'boards', name), name, factory, imageDirectory }),
      );
    boards = {
      'U-Boot': await make('u-boot'),
      'OP-TEE': await make('op-tee'),
      BL2: await make('bl2'),
      kernel: await make('kernel'),
      linux: await make('linux'),
    };
  });
  after(async () => await stack.disposeAsync());

  /** Bank B holds a firmware on its last trial. */
  const lastTrial = (bytes: Buffer): Change[] => [
    { part: 'bank_b', bytes },
    { part: 'firmware_state_a', bytes: formatFirmwareLog(tried) },
  ];
  const tried: FirmwareEntry[] = (['try', 'attempt', 'attempt'] as const).map((event) => ({
    event,
    bank: 'b',
  }));
  const isBack = async (board: Board): Promise<void> => {
    await board.serial.waitFor(/BL1: bank A$/, patience);
    await board.serial.waitFor(/^U-Boot 20/, patience);
  };

  for (const [what, part, hang] of [
    ['U-Boot', 'bl33', spin],
    ['OP-TEE', 'bl32', sleepOn],
  ] as const)
    test(`whose ${what} hangs, and the firmware of before is back`, async () => {
      const board = boards[what];
      // In its first instruction: BL31 has armed the watchdog, with 60 s.
      const bytes = await changedFirmware(board, keys, {
        [part]: (image: Buffer) => Buffer.concat([hang, image.subarray(hang.length)]),
      });
      await attack(board, lastTrial(bytes), async () => {
        await board.serial.waitFor(/BL1: bank B on trial, attempt 3/, patience);
        const { line } = await board.serial.waitFor('BL31: Built', patience);
        const { line: end } = await board.serial.waitFor(restarts, patience);
        const after = (end.at.getTime() - line.at.getTime()) / 1000;
        assert.ok(after > 55 && after < 90, `restarted after ${after} s`);
        await assertNever(board.serial, /^U-Boot/);
        await isBack(board);
      });
    });

  test('whose BL2 panics, without a watchdog yet', async () => {
    const board = boards.BL2;
    // Its first instruction leads to where a panic does.
    const bytes = await changedFirmware(board, keys, {
      bl2: (image) => {
        // plat_panic_handler of restart.S: two instructions, then `ldrb w0, [x4], #1` and `cbz w0, pause`.
        const at = image.indexOf('80144038c0000034', 0, 'hex') - 8;
        assert.ok(at > 0, 'BL2 knows how to panic');
        const changed = Buffer.from(image);
        changed.writeUInt32LE(0x1400_0000 + at / 4, 0);
        return changed;
      },
    });
    await attack(board, lastTrial(bytes), async () => {
      await board.serial.waitFor(/BL1: bank B on trial, attempt 3/, patience);
      await board.serial.waitFor(givesUp, patience);
      await isBack(board);
    });
  });

  test('whose kernel hangs before it has a driver', async () => {
    const board = boards.kernel;
    // In its first instruction: U-Boot has left the watchdog the 120 s of the device tree.
    const kernel = gunzipSync(await board.readPart('kernel'));
    const gzip = gzipSync(Buffer.concat([sleepOn, kernel.subarray(sleepOn.length)]), { level: 1 });
    const bytes = await repackFit(board, folder, keys.keys.fit, { kernel: gzip });
    await attack(board, [{ part: 'fit', bytes }], async () => {
      const { line } = await board.serial.waitFor('Starting kernel', patience);
      const after = await restarted(board, line.at);
      assert.ok(after > 115 && after < 150, `restarted after ${after} s`);
      await assertNever(board.serial, /Booting Linux|mbl-init:/);
    });
  });

  test('that runs Linux', async (t) => {
    const board = boards.linux;
    await board.start();
    const says = async (command: string): Promise<string> => {
      const { code, stdout, stderr } = await board.ssh(command, { timeoutMs: bootTimeoutMs });
      assert.equal(code, 0, `${command}: ${stderr}`);
      return stdout.trim();
    };
    const online = async (): Promise<void> => void (await board.serial.waitFor(/root@mbl.*# /, patience));
    /** Hangs by a command whose connection never answers. */
    const hang = async (command: string): Promise<Date> => {
      const line = `setsid sh -c 'sleep 1; ${command}' </dev/null >/dev/null 2>&1 &`;
      await says(line);
      return new Date();
    };
    const feedWithin = async (seconds: number): Promise<void> =>
      void (await says(
        `busctl set-property org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager RuntimeWatchdogUSec t ${seconds * 1_000_000}`,
      ));
    /** The time in which PID 1 must feed: shorter, so that a test need not wait a minute for each hang. */
    const hurry = async (): Promise<void> => await feedWithin(10);
    await online();

    await t.test('nothing hangs: PID 1 feeds the watchdog, and nothing restarts', async () => {
      assert.equal(await says('cat /sys/class/watchdog/watchdog0/identity'), 'arm_smc_wdt');
      assert.equal(await says('cat /sys/class/watchdog/watchdog0/timeout'), '60');
      assert.match(await says('ls -l /proc/1/fd'), /\/dev\/watchdog0/);
      await assertNever(board.serial, restarts);
    });

    await t.test('PID 1 hangs', async () => {
      // systemd stops where it is after a signal of a bug of its own.
      await hurry();
      const after = await restarted(board, await hang('kill -SEGV 1'));
      assert.ok(after < 60, `restarted after ${after} s`);
      await online();
    });

    await t.test('the kernel hangs, on a core that Linux started', async () => {
      await hurry();
      // On the second core, with the one off that U-Boot ran on: each has a timer of its own.
      await says('echo 0 >/sys/devices/system/cpu/cpu0/online');
      assert.equal(await says('cat /sys/devices/system/cpu/online'), '1');
      // A panic, and no restart after it.
      const after = await restarted(
        board,
        await hang(
          'echo 0 >/proc/sys/kernel/panic; echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger',
        ),
      );
      assert.ok(after < 60, `restarted after ${after} s`);
      await online();
    });

    await t.test('root tells PID 1 to stop the watchdog: it goes on, and restarts the board', async () => {
      await hurry();
      await feedWithin(0);
      const since = new Date();
      assert.doesNotMatch(await says('ls -l /proc/1/fd'), /\/dev\/watchdog0/, 'PID 1 has let go of it');
      const after = await restarted(board, since);
      assert.ok(after < 90, `restarted after ${after} s`);
      await board.serial.waitFor(linuxStarts, patience);
    });
  });
});
