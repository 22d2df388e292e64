// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildFit } from '@mbl/builder';
import { type FactoryConfiguration, factoryFor } from '@mbl/formats';
import type { Board, SerialConsole } from '@mbl/lab';
import type { KeyRef } from '@mbl/trust';
import { bootTimeoutMs } from './world.ts';

export const run = promisify(execFile);

/** A line that only a board prints which went on to Linux. */
export const linuxStarts = /Starting kernel|Booting Linux|mbl-init:|systemd\[/;

export interface Change {
  /** As `Board.writePart` names it. */
  readonly part: string;
  readonly offset?: number;
  readonly bytes: Uint8Array;
}

/** Flips the lowest bit of a part's middle, or of the byte at `offset`. */
export async function flipped(board: Board, part: string, offset?: number): Promise<Change> {
  const whole = await board.readPart(part);
  const at = offset ?? Math.floor(whole.length / 2);
  return { part, offset: at, bytes: Uint8Array.of((whole[at] ?? 0) ^ 1) };
}

/** Changes parts of a board that is off, switches it on, lets `check` look, cuts the power, and makes the board whole again. */
export async function attack(
  board: Board,
  changes: readonly Change[],
  check: () => Promise<void>,
): Promise<void> {
  const undo: Change[] = [];
  // What the board did in an earlier attack makes it wait in none that follows, and helps it in none.
  const { firmware_state_a: { size: log = 0 } = {}, bank_b: { size: bank = 0 } = {} } =
    board.image.flash.parts;
  const forgotten: Change[] = [
    { part: 'state', bytes: Buffer.alloc(8192) },
    { part: 'firmware_state_a', bytes: Buffer.alloc(log, 0xff) },
    { part: 'bank_b', bytes: Buffer.alloc(bank, 0xff) },
  ];
  try {
    for (const { part, offset = 0, bytes } of [...forgotten, ...changes]) {
      undo.unshift({ part, offset, bytes: await board.readPart(part, { offset, length: bytes.length }) });
      await board.writePart(part, bytes, { offset });
    }
    await board.start();
    await check();
  } finally {
    await board.powerOff();
    for (const { part, offset = 0, bytes } of undo) await board.writePart(part, bytes, { offset });
  }
}

/** What a loader of TF-A says when it gives up, before the pause after which it restarts the board. */
export const givesUp = /ERROR: +The firmware does not start\. The board restarts in 20 s\./;

/**
 * A loader of TF-A says `refusal` on the console, and that it restarts the board after a pause; what `next` says, who would come after
 * it, is never seen.
 */
export async function firmwareRefused(
  board: Board,
  changes: readonly Change[],
  refusal: RegExp,
  next: RegExp,
): Promise<void> {
  await attack(board, changes, async () => {
    await board.serial.waitFor(refusal, { timeoutMs: bootTimeoutMs });
    await board.serial.waitFor(givesUp, { timeoutMs: bootTimeoutMs });
    await assertNever(board.serial, next);
    await assertNever(board.serial, linuxStarts);
  });
}

/** Asserts that nothing on the console so far matches. */
export async function assertNever(console: SerialConsole, unwanted: RegExp): Promise<void> {
  const lines = (await console.lines()).map(({ text }) => text);
  assert.deepEqual(
    lines.filter((line) => unwanted.test(line)),
    [],
    `the console must not show ${unwanted}`,
  );
}

/**
 * A factory configuration of a service that is not there: the device tries again and again, and the lab's SSH key is beside it. With an
 * invalid one its client would be started again and again, which costs an emulated CPU much more.
 */
export async function lonelyFactory(folder: string): Promise<FactoryConfiguration> {
  const [key, certificate] = [join(folder, 'nobody.key'), join(folder, 'nobody.crt')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  await run('openssl', [
    'req',
    '-x509',
    '-nodes',
    ...curve,
    '-keyout',
    key,
    '-out',
    certificate,
    '-subj',
    '/CN=nobody',
  ]);
  return factoryFor(
    { ports: { http: 1, est: 1, lwm2m: 1 } },
    {
      endpointName: 'attacked',
      enrolmentCode: 'of-no-use',
      host: '10.0.2.2',
      trust: await readFile(certificate, 'utf8'),
    },
  );
}

/** The FIT of a board's slot, without what lies behind it in the partition. */
export async function readFit(board: Board): Promise<Buffer> {
  // The FIT is a flattened device tree: magic, then its size, big-endian (Devicetree Specification §5.2).
  const head = await board.readPart('fit', { length: 8 });
  assert.equal(head.readUInt32BE(0), 0xd00dfeed, 'the slot holds a FIT');
  return await board.readPart('fit', { length: head.readUInt32BE(4) });
}

/** The kernel, initramfs and device tree of the board's own FIT, or `others`, in a new FIT of that index, signed by `key` or not at all. */
export async function repackFit(
  board: Board,
  folder: string,
  key: KeyRef | undefined,
  others: Readonly<Record<string, Uint8Array>> = {},
  rollbackIndex = 0,
): Promise<Buffer> {
  const part = async (name: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, others[name] ?? (await board.readPart(name)));
    return path;
  };
  const images = {
    kernel: await part('kernel'),
    initramfs: await part('initramfs'),
    fdt: await part('fdt'),
    rollbackIndex,
  };
  const fit = join(folder, 'foreign.itb');
  await buildFit(folder, images, key, fit);
  return await readFile(fit);
}

/** A U-Boot environment as it is stored: CRC-32, then `name=value` strings (U-Boot `tools/mkenvimage.c`). */
export async function environmentImage(
  folder: string,
  variables: Readonly<Record<string, string>>,
  size: number,
): Promise<Buffer> {
  const source = join(folder, 'environment.txt');
  const image = join(folder, 'environment.bin');
  const text = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(source, text.join(''));
  await run('mkenvimage', ['-s', String(size), '-o', image, source]);
  return await readFile(image);
}

/** An ext4 file system of `size` bytes with one file in its top folder. */
export async function withFile(
  size: number,
  folder: string,
  name: string,
  bytes: Uint8Array,
): Promise<Buffer> {
  const image = join(folder, 'partition.ext4');
  const contents = join(folder, 'partition');
  await mkdir(contents);
  await writeFile(join(contents, name), bytes);
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', contents, image, `${size / 1024}k`], { env });
  const listing = await run('debugfs', ['-R', 'ls -p', image], { env });
  assert.match(listing.stdout, new RegExp(`/${name}/`), 'the file is in the partition');
  return await readFile(image);
}
