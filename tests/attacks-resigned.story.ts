// SPDX-License-Identifier: Apache-2.0
//
// Somebody who knows the formats changes what a board boots from and makes everything fit again: hashes, lists, whole chains of
// certificates. All that he lacks is the owner's keys, and a signature of the owner's is all that refuses him. Two FITs are tried in one
// boot, one in each slot.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DeviceTreeBlob, readDeviceTreeBlob } from '@mbl/builder';
import { type Board, createBoard } from '@mbl/lab';
import { initKeys } from '@mbl/trust';
import {
  assertNever,
  attack,
  type Change,
  firmwareRefused,
  linuxStarts,
  lonelyFactory,
  readFit,
} from './support/attacks.ts';
import { type ForeignFirmware, foreignFirmware } from './support/firmware.ts';
import * as fit from './support/fit.ts';
import { temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs, imageOf } from './support/world.ts';

const stack = new AsyncDisposableStack();
let board: Board;
let genuine: DeviceTreeBlob;
let otherKernel: Buffer;
let foreign: ForeignFirmware;

before(async () => {
  const { path: folder } = stack.use(await temporaryFolder());
  const factory = await lonelyFactory(folder);
  const imageDirectory = await imageOf('development');
  board = stack.use(
    await createBoard({ directory: join(folder, 'board'), name: 'attacked', factory, imageDirectory }),
  );
  genuine = readDeviceTreeBlob(await readFit(board));
  otherKernel = fit.anotherKernel(genuine.root);
  const strangers = await initKeys(join(folder, 'foreign-keys'), { profile: 'development' });
  foreign = await foreignFirmware(board, strangers);
});
after(async () => await stack.disposeAsync());

const patience = { timeoutMs: bootTimeoutMs };

/** The FIT with another root node. */
function repacked(root: DeviceTreeBlob['root']): Buffer {
  return fit.writeFit({ ...genuine, root });
}

interface Attempt {
  readonly fit: Buffer;
  /** What U-Boot says why it refuses this FIT. */
  readonly refusal: RegExp;
}

/** U-Boot refuses what is in `boot_a` and what is in `boot_b`, each for its own reason, and resets the board. */
async function bothRefused(a: Attempt, b: Attempt): Promise<void> {
  const changes = [
    { part: 'boot_a', bytes: a.fit },
    { part: 'boot_b', bytes: b.fit },
  ];
  await attack(board, changes, async () => {
    await board.serial.waitFor('MBL: trying boot_a', patience);
    await board.serial.waitFor(a.refusal, patience);
    await board.serial.waitFor('MBL: refused boot_a', patience);
    await board.serial.waitFor('MBL: trying boot_b', patience);
    await board.serial.waitFor(b.refusal, patience);
    await board.serial.waitFor('MBL: refused boot_b', patience);
    await board.serial.waitFor('Booting Trusted Firmware', patience);
    await assertNever(board.serial, linuxStarts);
    await assertNever(board.serial, prompt);
  });
}

/** U-Boot's prompt. */
const prompt = /^=> ?/;

async function starts(changes: readonly Change[]): Promise<void> {
  await attack(board, changes, async () => {
    await board.serial.waitFor('MBL: trying boot_a', patience);
    await board.serial.waitFor(linuxStarts, patience);
    await assertNever(board.serial, /ERROR|Bad hash|Failed|refused/);
  });
}

// U-Boot `boot/image-fit-sig.c`, fit_config_verify_key.
const signatureFails = /^Verification failed for '<NULL>' hash node in 'mbl' config node$/;

test('a FIT that was taken apart and put together again starts Linux', async () => {
  await starts([{ part: 'boot_a', bytes: repacked(genuine.root) }]);
});

test('the list of hashed nodes, which no signature covers, is not believed: without the kernel in it the same FIT starts', async () => {
  const paths = fit.hashedNodes(genuine.root).filter((path) => !path.includes('kernel'));
  assert.deepEqual(paths.length, fit.hashedNodes(genuine.root).length - 2);
  await starts([{ part: 'boot_a', bytes: repacked(fit.withHashedNodes(genuine.root, paths)) }]);
});

test('another kernel with its hash; the same, and the list of hashed nodes leaves it out', async () => {
  const changed = fit.withKernel(genuine.root, otherKernel);
  const paths = fit.hashedNodes(changed).filter((path) => !path.includes('kernel'));
  await bothRefused(
    { fit: repacked(changed), refusal: signatureFails },
    { fit: repacked(fit.withHashedNodes(changed, paths)), refusal: signatureFails },
  );
});

test('the list of hashed nodes leads to copies of the genuine ones (CVE-2026-46728); an unsigned configuration is the default', async () => {
  await bothRefused(
    { fit: repacked(fit.withClonedImages(genuine.root, otherKernel)), refusal: signatureFails },
    {
      fit: repacked(fit.withUnsignedDefault(genuine.root, otherKernel)),
      refusal: /^No 'signature' subnode found for '<NULL>' hash node in 'other' config node$/,
    },
  );
});

test('another kernel behind the FIT, as external data; one more byte behind the genuine kernel', async () => {
  const longer = Buffer.concat([fit.valueOf(genuine.root, '/images/kernel', 'data'), Buffer.alloc(1)]);
  const extended = fit.edited(genuine.root, '/images/kernel', (node) =>
    fit.withProperty(node, 'data', longer),
  );
  const badHash = /sha256 error!/;
  await bothRefused(
    { fit: fit.withExternalKernel(genuine, otherKernel), refusal: badHash },
    { fit: repacked(extended), refusal: badHash },
  );
});

test('firmware that a stranger signed from the root of trust on: BL1 refuses it', async () => {
  await firmwareRefused(
    board,
    [{ part: 'flash', offset: foreign.offset, bytes: foreign.fip }],
    /ERROR:\s+Failed to load BL2 firmware/,
    /BL2:|BL31:|U-Boot|=>/,
  );
});

test('the same firmware starts Linux where BL1 has the hash of the stranger: nothing else refused it', async () => {
  await starts([
    { part: 'flash', offset: 0, bytes: foreign.bl1 },
    { part: 'flash', offset: foreign.offset, bytes: foreign.fip },
  ]);
});
