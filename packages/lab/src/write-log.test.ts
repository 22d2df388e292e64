// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { runCommand } from './processes.ts';
import { replayWrites, survivingWrites } from './replay.ts';
import { countWrites, parseWriteLogEntry, parseWriteLogHead, readWriteLog } from './write-log.ts';

const size = 1024 * 1024;
let work = '';
let start = '';
let disk = '';
let log = '';

/** Writes by QEMU itself through the driver that a board's recorded run uses. */
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'lab-writes-'));
  start = join(work, 'start.img');
  disk = join(work, 'disk.img');
  log = join(work, 'writes.log');
  await writeFile(start, Buffer.alloc(size, 0xee));
  await copyFile(start, disk);
  await writeFile(log, '');
  const chain = {
    driver: 'blklogwrites',
    'log-super-update-interval': 1,
    file: { driver: 'raw', file: { driver: 'file', filename: disk, discard: 'unmap' }, discard: 'unmap' },
    log: { driver: 'file', filename: log },
  };
  const commands = [
    'write -P 0x11 0 4k',
    'write -P 0x22 8k 512',
    'flush',
    'write -P 0x33 0 1k',
    'write -P 0x44 64k 4k',
    'write -z 128k 8k',
    'discard 256k 64k',
    'write -P 0x55 8k 4k',
  ];
  const args = [
    '-t',
    'writeback',
    '-d',
    'unmap',
    ...commands.flatMap((command) => ['-c', command]),
    `json:${JSON.stringify(chain)}`,
  ];
  const result = await runCommand('qemu-io', args, { debianPackage: 'qemu-utils' });
  assert.equal(result.code, 0, result.stderr + result.stdout);
});

after(async () => await rm(work, { recursive: true, force: true }));

async function replayed(count: number, unflushed: 'kept' | 'lost' = 'kept'): Promise<Buffer> {
  const target = join(work, 'replayed.img');
  await copyFile(start, target);
  await replayWrites(log, target, { count, unflushed });
  return await readFile(target);
}

test('a log that QEMU wrote names every write, flush and discard in order', async () => {
  const writes = await readWriteLog(log);
  const shown = writes
    .slice(0, 8)
    .map(({ offset, length, flush, fua, discard }) => [offset, length, flush, fua, discard]);
  assert.deepEqual(shown, [
    [0, 4096, false, false, false],
    [8192, 512, false, false, false],
    [0, 0, true, false, false],
    [0, 1024, false, false, false],
    [65536, 4096, false, false, false],
    [131072, 8192, false, false, false],
    [262144, 65536, false, false, true],
    [8192, 4096, false, false, false],
  ]);
  assert.equal(await countWrites(log), writes.length);
});

test('replaying everything gives the disk that QEMU left', async () => {
  const count = (await readWriteLog(log)).length;
  assert.ok((await replayed(count)).equals(await readFile(disk)));
});

test('replaying a prefix gives the disk in between', async () => {
  assert.ok((await replayed(0)).equals(await readFile(start)));
  const one = await replayed(1);
  assert.ok(one.subarray(0, 4096).every((byte) => byte === 0x11));
  assert.ok(one.subarray(4096).every((byte) => byte === 0xee));
  const six = await replayed(6);
  assert.ok(six.subarray(131072, 131072 + 8192).every((byte) => byte === 0));
  assert.equal(six[8192], 0x22);
});

test('a disk that loses its unflushed writes keeps the flushed ones', async () => {
  const lost = await replayed(6, 'lost');
  assert.equal(lost[0], 0x11, 'the write after the flush is gone');
  assert.equal(lost[8192], 0x22);
  assert.equal(lost[65536], 0xee);
});

test('forced writes and a chosen set of unflushed ones survive; a count beyond the log is refused', async () => {
  const writes = await readWriteLog(log);
  const forced = writes.map((write, index) => ({ ...write, fua: index === 4 }));
  const only = survivingWrites(forced, { count: 8, unflushed: (_, index) => index === 7 });
  assert.deepEqual(
    only.map((write) => forced.indexOf(write)),
    [0, 1, 2, 4, 7],
  );
  assert.throws(() => survivingWrites(writes, { count: 1000 }), { code: 'lab/too-few-writes' });
});

test('a cut log is refused', async () => {
  const bytes = await readFile(log);
  const cut = join(work, 'cut.log');
  await writeFile(cut, bytes.subarray(0, 1024));
  await assert.rejects(readWriteLog(cut), { code: 'lab/write-log-invalid' });
  await writeFile(cut, '');
  assert.deepEqual(await readWriteLog(cut), [], 'QEMU has not written its head yet');
});

test('no bytes make the parser throw anything but its error, or a write outside the log', () => {
  const head = Buffer.alloc(28);
  head.writeBigUInt64LE(0x6a736677736872n, 0);
  head.writeBigUInt64LE(1n, 8);
  const entries = fc.uint8Array({ maxLength: 64 });
  fc.assert(
    fc.property(entries, fc.boolean(), fc.nat(1 << 20), (bytes, withMagic, position) => {
      try {
        parseWriteLogHead(withMagic ? Buffer.concat([head.subarray(0, 16), bytes]) : bytes);
        const write = parseWriteLogEntry(bytes, position, 1 << 21, 512);
        assert.ok(write.discard || write.dataOffset + write.length <= 1 << 21);
      } catch (error) {
        if (!(error instanceof MblError)) throw error;
        assert.equal(error.code, 'lab/write-log-invalid');
      }
    }),
  );
});
