// SPDX-License-Identifier: Apache-2.0
//
// The boot firmware as the running system sees it: who may ask the secure world, what may be written, and that what was replaced because it
// was too old does not start again.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { findWorkspace } from '@mbl/cli';
import { formatFirmwareCounters, parseFirmwareCounters } from '@mbl/formats';
import { type Board, createBoard } from '@mbl/lab';
import { type KeySet, loadKeys } from '@mbl/trust';
import {
  assertNever,
  attack,
  linuxStarts,
  lonelyFactory,
  readFit,
  repackFit,
  run,
} from './support/attacks.ts';
import { temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs, imageOf } from './support/world.ts';

const patience = { timeoutMs: bootTimeoutMs };
const helper = '/usr/lib/mbl/mbl-native firmware';
const stack = new AsyncDisposableStack();
let folder = '';
let keys: KeySet;
let board: Board;

before(async () => {
  ({ path: folder } = stack.use(await temporaryFolder()));
  keys = await loadKeys(join(findWorkspace().state, 'keys'));
  const options = {
    directory: join(folder, 'board'),
    name: 'firmware',
    factory: await lonelyFactory(folder),
  };
  board = stack.use(await createBoard({ ...options, imageDirectory: await imageOf('development') }));
});
after(async () => await stack.disposeAsync());

/** What a command prints and how it ends, as one text: `bank=a 0`. */
async function says(command: string, input?: Uint8Array): Promise<string> {
  const { stdout, stderr } = await board.ssh(`${command}; echo $?`, {
    ...patience,
    ...(input === undefined ? {} : { input }),
  });
  return `${stdout}${stderr}`.trim().replaceAll('\n', ' ');
}

const as = (user: string, groups: string): string =>
  `setpriv --reuid=${user} --regid=${user} --groups=${groups} ${helper}`;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const withCounter = (os: number) => ({
  part: 'firmware_state_b',
  bytes: formatFirmwareCounters({ trusted: 0, nonTrusted: 0, os }),
});

test('the system asks the secure world for its firmware, and nothing that faces the network can', async () => {
  // A system of index 2. It is confirmed at some moment of what follows.
  const fit = await repackFit(board, folder, keys.keys.fit, {}, 2);
  const genuine = await board.readPart('bank_a');
  await attack(board, [withCounter(1), { part: 'fit', bytes: fit }], async () => {
    assert.match(await says(`${helper} counter 2`), /^stored=[12] pending=2 0$/);
    const status = /^bank=a trial=0 attempts=0 confirmed=[01] size=4194304 0$/;
    assert.match(await says(`${helper} status`), status);
    assert.match(await says(`${as('mbl-platformd', 'mbl-firmware')} status`), status);
    assert.match(await says(`${helper} counter 3`), /there is no such counter/);
    const client = `${as('mbl-cloud-client', 'mbl-slots')} status`;
    assert.match(await says(client), /^1 mbl-native: \/dev\/tee0 cannot be opened: error 13$/);
    // With the device open to all, Linux gives the login to members alone, and the application takes no other.
    assert.match(await says(`chmod 0666 /dev/tee0; ${client}`), /^1 .*cannot be asked: error 1$/);
    await putOpenSession();
    assert.equal(await says('/run/open-session c1991705-a070-4f07-8303-958cbd8610d7'), 'result 0xffff0001 0');
    await says('chmod 0660 /dev/tee0');

    await banksAreReadAndWritten(genuine);

    // The services reach it from within their walls.
    const trial = {
      version: 1,
      slot: 'a',
      release: 'x',
      rollbackIndex: 0,
      rootHash: board.image.root.rootHash,
      firmware: { bank: 'a', sha256: sha256(fit) },
    };
    assert.equal(await says('systemctl start mbl-good-boot'), '0');
    assert.match(await says('journalctl -b -o cat -u mbl-good-boot'), /boot firmware: bank a is good/);
    assert.match(await says(`${helper} status`), /confirmed=1/);
    assert.equal(await says(`${helper} counter 2`), 'stored=2 pending=2 0');
    await says('cat >/config/update/trial.json', Buffer.from(JSON.stringify(trial)));
    const ask = 'busctl call com.mbl.Platform1 /com/mbl/Platform1 com.mbl.Platform1 GetUpdate';
    const user = 'setpriv --reuid=mbl-cloud-client --regid=mbl-cloud-client --clear-groups';
    assert.match(await says(`${user} ${ask}`), /"confirmed" "x"/);
    assert.equal(await says('systemctl --failed --no-legend --plain | grep mbl-'), '1');
    await board.powerOff();
    assert.equal(parseFirmwareCounters(await board.readPart('firmware_state_b')).os, 2);
  });
});

/** The idle bank takes any bytes, and the running one none; what either holds is read, not believed. */
async function banksAreReadAndWritten(running: Buffer): Promise<void> {
  const bytes = randomBytes(300_000);
  assert.equal(await says(`${helper} write 0`, bytes), '0');
  const digest = async (offset: number, length: number) =>
    (await says(`${helper} read ${offset} ${length} | sha256sum`)).slice(0, 64);
  assert.equal(await digest(0, bytes.length), sha256(bytes));
  assert.equal(
    await digest(running.length, 1_000_000),
    sha256(running.subarray(0, 1_000_000)),
    'the bank that runs is behind it',
  );
  assert.match(await says(`${helper} write ${running.length}`, bytes), /^3 .*cannot be written$/);
  assert.match(await says(`${helper} try a`), /^3 .*cannot be tried$/);
  assert.equal(await says(`${helper} try b`), '0');
  assert.match(await says(`${helper} write 0`, bytes), /^3 /, 'not while it is wanted');
  assert.equal(await says(`${helper} reject`), '0');
  assert.match(await says(`${helper} reject`), /^3 .*no trial/);
}

async function putOpenSession(): Promise<void> {
  const program = join(folder, 'open-session');
  const source = join(import.meta.dirname, 'support/open-session.c');
  const flags = ['-Os', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector'];
  await run('aarch64-linux-gnu-gcc', [...flags, '-o', program, source]);
  await says('cat >/run/open-session && chmod 755 /run/open-session', await readFile(program));
}

test('an older system is refused though it is signed, and the other slot starts', async () => {
  const fit = await repackFit(board, folder, keys.keys.fit, {}, 6);
  await attack(board, [withCounter(5), { part: 'boot_b', bytes: fit }], async () => {
    await board.serial.waitFor('MBL: rollback index 0, stored 5: too old', patience);
    await board.serial.waitFor('MBL: refused boot_a', patience);
    await board.serial.waitFor('MBL: trying boot_b', patience);
    await board.serial.waitFor('Starting kernel', patience);
  });
});

test('the index is under the signature', async () => {
  const fit = await readFit(board);
  // The value of the property: the only one that is 0 and follows its length of 4 and the offset of its name.
  const name = fit.indexOf('rollback-index\0') - fit.readUInt32BE(12);
  const token = Buffer.alloc(12);
  token.writeUInt32BE(3, 0);
  token.writeUInt32BE(4, 4);
  token.writeUInt32BE(name, 8);
  const at = fit.indexOf(token) + token.length;
  assert.ok(name > 0 && at > token.length);
  assert.equal(fit.readUInt32BE(at), board.image.fit.rollbackIndex ?? 0);
  await attack(
    board,
    [withCounter(5), { part: 'fit', offset: at, bytes: Buffer.from([0, 0, 0, 9]) }],
    async () => {
      await board.serial.waitFor(/Failed to verify required signature/, patience);
      await board.serial.waitFor('MBL: refused boot_a', patience);
      await assertNever(board.serial, linuxStarts);
      await assertNever(board.serial, /rollback index/);
    },
  );
});
