// SPDX-License-Identifier: Apache-2.0
//
// Somebody changes the root file system, on a board that is off or as root on one that runs; or gives OP-TEE a trusted application that
// the owner did not sign. What was changed is never served.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Board, createBoard } from '@mbl/lab';
import { assertNever, attack, type Change, flipped, lonelyFactory, readFit, run } from './support/attacks.ts';
import { copyOffset, readBootStates } from './support/boot-state.ts';
import { attackKernel } from './support/kernel.ts';
import { answersOn } from './support/ports.ts';
import { mblJson, temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs, imageOf } from './support/world.ts';

const stack = new AsyncDisposableStack();
const pkcs11 = 'fd02c9da-306c-48c7-a49c-bbd827ae86ee';
const verityBlock = 4096;
const patience = { timeoutMs: bootTimeoutMs };
let folder = '';
let board: Board;

before(async () => {
  ({ path: folder } = stack.use(await temporaryFolder()));
  board = await makeBoard('attacked', await imageOf('development'));
});
after(async () => await stack.disposeAsync());

/** A board with a way in (its own SSH key), and no service. */
async function makeBoard(name: string, imageDirectory: string): Promise<Board> {
  const directory = join(folder, name);
  return stack.use(
    await createBoard({ directory, name, imageDirectory, factory: await lonelyFactory(folder) }),
  );
}

/** systemd and everything behind it comes from the root file system. */
const rootRuns = /systemd\[1\]|mbl-cloud-client|root@mbl/;
const corrupted = /device-mapper: verity: .*(?:data|metadata) block \d+ is corrupted/;

/** dm-verity says that a block is not the signed one, and the board restarts before anything of the root ran. */
async function restartsAtOnce(changes: readonly Change[]): Promise<void> {
  await attack(board, changes, async () => {
    await board.serial.waitFor('Starting kernel', patience);
    await board.serial.waitFor(corrupted, patience);
    await board.serial.waitFor('Booting Trusted Firmware', patience);
    await assertNever(board.serial, rootRuns);
  });
}

/** The initramfs finds no slot with the root that the signed image names, says so, and restarts the board. */
async function refusedByInitramfs(on: Board, changes: readonly Change[]): Promise<void> {
  await attack(on, changes, async () => {
    await on.serial.waitFor('Starting kernel', patience);
    await on.serial.waitFor(/mbl-init: root_a does not hold the root file system/, patience);
    await on.serial.waitFor(/mbl-init: refused: no slot holds the root file system/, patience);
    await on.serial.waitFor('Booting Trusted Firmware', patience);
    await assertNever(on.serial, rootRuns);
    await assertNever(on.serial, /opened by dm-verity/);
  });
}

test('one flipped byte in the first block of the root', async () => {
  await restartsAtOnce([await flipped(board, 'root', 1024)]);
});

test('one flipped byte in the top block of the hash tree', async () => {
  await refusedByInitramfs(board, [await flipped(board, 'hash-tree', 0)]);
});

test('one flipped byte in a lower level of the hash tree', async () => {
  await restartsAtOnce([await flipped(board, 'hash-tree', verityBlock)]);
});

test('the signed FIT of another image, whose root is another', async () => {
  const production = await makeBoard('production', await imageOf('production'));
  const fit = await readFit(production);
  await refusedByInitramfs(board, [{ part: 'fit', bytes: fit }]);
});

interface FileExtent {
  /** Bytes from the start of the root. */
  readonly offset: number;
  readonly length: number;
}

/** The middle one of the runs of bytes that a file has in the root. */
async function middleOf(path: string): Promise<FileExtent> {
  const image = join(folder, 'root.erofs');
  await writeFile(image, await board.readPart('root'));
  const { stdout } = await run('dump.erofs', ['-e', `--path=${path}`, image]);
  const extents = [
    ...stdout.matchAll(/^\s*\d+:\s+\d+\.\.\s*\d+ \|\s*\d+ :\s+(\d+)\.\.\s*\d+ \|\s*(\d+)$/gm),
  ].map(([, offset, length]) => ({ offset: Number(offset), length: Number(length) }));
  const middle = extents[Math.floor(extents.length / 2)];
  assert.ok(middle !== undefined, `dump.erofs shows where ${path} is: ${stdout}`);
  return middle;
}

/** Reads a file of which a block was changed: the board restarts, and what was changed is not given out. */
async function readingRestarts(path: string): Promise<void> {
  const read = board.ssh(`sha256sum ${path}`, patience).then(
    ({ code, stdout }) => ({ code, stdout }),
    () => ({ code: 255, stdout: '' }),
  );
  await board.serial.waitFor(corrupted, patience);
  await board.serial.waitFor('Booting Trusted Firmware', patience);
  await board.powerOff();
  const { code, stdout } = await read;
  assert.notEqual(code, 0, 'the read fails');
  assert.equal(stdout, '', 'nothing of the file is served');
}

test('root on the running board, and a root changed while the board was off', async (t) => {
  const strace = await middleOf('/usr/bin/strace');
  const tar = await middleOf('/usr/bin/tar');
  const middle = strace.offset + Math.floor(strace.length / 2);
  const pristine = await board.readPart('root');
  await board.start();
  const shell = async (command: string, input?: string | Uint8Array) => {
    const { code, stdout, stderr } = await board.ssh(command, {
      ...patience,
      ...(input === undefined ? {} : { input }),
    });
    return { code, stdout: stdout.trim(), stderr };
  };

  await t.test('the board runs', async () => {
    const { stdout } = await shell('grep " / " /proc/mounts');
    assert.match(stdout, /^\/dev\/mapper\/root \/ erofs ro,/);
    assert.equal((await shell('cat /proc/cmdline')).stdout.includes('init='), false);
  });

  await t.test('root puts no code into the kernel', async () => await attackKernel(shell));

  await t.test('nothing is executed where the board can write', async () => {
    for (const folder of ['/config', '/data', '/var', '/home']) {
      const program = `${folder}/program`;
      const { code, stderr } = await shell(`cp /usr/bin/true ${program} && sync ${program} && ${program}`);
      assert.equal(code, 126, folder);
      assert.match(stderr, /Permission denied/, folder);
      assert.equal((await shell(`rm ${program}`)).code, 0);
    }
  });

  await t.test('a trusted application that the upstream test key, or a stranger, signed', async () => {
    await putOpenSession(shell);
    const open = async () => (await shell(`/run/open-session ${pkcs11}`)).stdout;
    const place = `/usr/lib/optee_armtz/${pkcs11}.ta`;
    const serve = async (application: Uint8Array): Promise<void> => {
      const put = await shell(
        `cat >/run/foreign.ta && mount --bind /run/foreign.ta ${place} && systemctl restart tee-supplicant`,
        application,
      );
      assert.equal(put.code, 0, put.stderr);
    };
    const undo = async () => assert.equal((await shell(`umount ${place}`)).code, 0);
    // Before the genuine one: OP-TEE keeps that in memory and would not load another.
    const genuine = Buffer.from((await shell(`base64 -w0 ${place}`)).stdout, 'base64');
    // OP-TEE says on its own console what its loader was refused: to open the file, whose head is signed; to copy what the head's hash
    // does not name.
    const refused = async (step: RegExp): Promise<void> => {
      assert.equal(await open(), 'result 0xffff000f', 'TEE_ERROR_SECURITY');
      await board.secureSerial.waitFor(step, patience);
      await board.secureSerial.waitFor(/^E\/TC:.* ldelf failed with res: 0xffff000f/, patience);
    };
    await serve(await upstreamSigned());
    await refused(new RegExp(`^E/LD: .* sys_open_ta_bin\\(${pkcs11}\\)`));
    await undo();
    const changed = Buffer.from(genuine);
    changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1;
    await serve(changed);
    await refused(/^E\/LD: .* sys_copy_from_ta_bin/);
    await undo();
    const complaints = (await board.secureSerial.lines()).length;
    assert.equal(await open(), 'result 0x00000000', 'the genuine one opens');
    assert.equal((await board.secureSerial.lines()).length, complaints, 'without a complaint');
  });

  await t.test('the root cannot be made writable', async () => {
    for (const command of [
      'mount -o remount,rw /',
      'touch /usr/bin/new',
      'dd if=/dev/zero of=/dev/mapper/root bs=4096 count=1 conv=fsync',
      'blockdev --setrw /dev/mapper/root; dd if=/dev/zero of=/dev/mapper/root bs=4096 count=1 conv=fsync',
      'blockdev --setrw /dev/mapper/root; mount -o remount,rw /',
    ]) {
      const { code, stderr } = await shell(command);
      assert.notEqual(code, 0, command);
      assert.match(stderr, /write-protected|Read-only file system|Operation not permitted/, command);
    }
    assert.match((await shell('grep " / " /proc/mounts')).stdout, / erofs ro,/);
  });

  await t.test('no port is open but SSH, which the development image has', async () => {
    assert.deepEqual((await shell("ss -H -lntu | awk '{print $1, $5}' | sort")).stdout.split('\n'), [
      'tcp *:22',
    ]);
    assert.equal(await answersOn(board.hostPort(22)), true, 'the look from outside sees an open port');
  });

  await t.test('root overwrites a block of the raw partition: the next read restarts the board', async () => {
    const at = Math.floor((tar.offset + tar.length / 2) / verityBlock);
    const { code, stderr } = await shell(
      `dd if=/dev/zero of=/run/mbl/disk/root_a bs=${verityBlock} seek=${at} count=1 oflag=direct && echo 3 >/proc/sys/vm/drop_caches`,
    );
    assert.equal(code, 0, stderr);
    await readingRestarts('/usr/bin/tar');
    const offset = at * verityBlock;
    const block = await board.readPart('root', { offset, length: verityBlock });
    assert.deepEqual(block, Buffer.alloc(verityBlock), 'it is the change of root that dm-verity refused');
    await board.writePart('root', pristine.subarray(offset, offset + verityBlock), { offset });
  });

  await t.test('the middle of the root, changed on the disk: such a start is not called good', async () => {
    const { bytes } = await flipped(board, 'root', middle);
    await board.writePart('root', bytes, { offset: middle });
    await board.writePart('state', Buffer.alloc(2 * copyOffset));
    await board.start();
    // Nobody asks for that file: the verdict on the boot reads every block first.
    await board.serial.waitFor(corrupted, patience);
    await board.serial.waitFor('Booting Trusted Firmware', patience);
    await board.serial.waitFor('Starting kernel', patience);
    await board.powerOff();
    const states = await readBootStates(board);
    assert.ok(states.includes('MBL-BOOT 1 0000000002 a a 02 00'), states.join());
    await board.writePart('root', pristine.subarray(middle, middle + 1), { offset: middle });
    assert.ok((await board.readPart('root')).equals(pristine));
  });

  await t.test('with the root as it was, the next start is called good', async () => {
    await board.start();
    assert.equal((await shell('systemctl start mbl-good-boot')).code, 0);
    await board.powerOff();
    const states = await readBootStates(board);
    assert.ok(states.includes('MBL-BOOT 1 0000000004 a a 00 00'), states.join());
  });
});

type Shell = (
  command: string,
  input?: Uint8Array,
) => Promise<{ code: number; stdout: string; stderr: string }>;

/** Compiles `support/open-session.c` for the board and puts it to /run. */
async function putOpenSession(shell: Shell): Promise<void> {
  const program = join(folder, 'open-session');
  const source = join(import.meta.dirname, 'support/open-session.c');
  const flags = ['-Os', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector'];
  await run('aarch64-linux-gnu-gcc', [...flags, '-o', program, source]);
  const put = await shell('cat >/run/open-session && chmod 755 /run/open-session', await readFile(program));
  assert.equal(put.code, 0, put.stderr);
}

/** The PKCS#11 application as OP-TEE's own build signs it: with the test key that everybody has. */
async function upstreamSigned(): Promise<Buffer> {
  const { tasks } = await mblJson<{ tasks: { task: string; folder: string }[] }>(['build'], {
    timeout: 1_800_000,
  });
  const optee = tasks.find(({ task }) => task === 'optee')?.folder;
  assert.ok(optee !== undefined, 'the build names the output of OP-TEE');
  return await readFile(join(optee, 'upstream-signed', `${pkcs11}.ta`));
}
