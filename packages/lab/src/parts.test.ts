// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Board } from './board.ts';
import { createBoard } from './create-board.ts';
import { makeBareBuild } from './testing/bare-guest.ts';

const megabyte = 1024 * 1024;
let work = '';
let board: Board;

before(async () => {
  work = await mkdtemp(join(tmpdir(), 'lab-parts-'));
  const imageDirectory = await makeBareBuild(join(work, 'build'));
  board = await createBoard({ directory: join(work, 'board'), name: 'board', imageDirectory });
});
after(async () => await rm(work, { recursive: true, force: true }));

const cases: [part: string, offset: number | undefined, file: string, expected: number][] = [
  ['bl1', undefined, 'flash.bin', 8],
  ['bl2', undefined, 'flash.bin', 32],
  ['bl2', 3, 'flash.bin', 19],
  ['kernel', undefined, 'disk.img', megabyte + 4096 + 4096],
  ['fdt', 0, 'disk.img', megabyte + 16384],
  ['fit', 1, 'disk.img', megabyte + 1],
  ['boot_a', undefined, 'disk.img', megabyte + megabyte / 2],
  ['root', undefined, 'disk.img', 2 * megabyte],
  ['root', 65535, 'disk.img', 2 * megabyte + 65535],
  // Behind the verity superblock.
  ['hash-tree', undefined, 'disk.img', 2 * megabyte + 65536 + 4096],
  ['data', 5, 'disk.img', 4 * megabyte + 5],
];

for (const [part, offset, file, expected] of cases) {
  test(`flipping a bit of ${part} at ${offset ?? 'its usual place'} changes exactly that bit`, async () => {
    const path = join(board.directory, file);
    const before = await readFile(path);
    const flipped = await board.flipBit({ part, bit: 5, ...(offset === undefined ? {} : { offset }) });
    const after = await readFile(path);
    assert.equal(flipped.file, path);
    assert.equal(flipped.offset, expected);
    const different: number[] = [];
    for (let index = 0; index < after.length; index++) {
      if (after[index] !== before[index]) different.push(index);
    }
    assert.deepEqual(different, [expected]);
    assert.equal((before[expected] ?? 0) ^ (after[expected] ?? 0), 0x20);
  });
}

test('parts are read and written in place', async () => {
  assert.match((await board.readPart('factory', { length: 22 })).toString(), /^first bytes of factory/);
  await board.writePart('factory', Buffer.from('other'), { offset: 15 });
  assert.equal(
    (await board.readPart('disk', { offset: 3 * megabyte, length: 20 })).toString(),
    'first bytes of other',
  );
  assert.equal((await board.readPart('bl2')).length, 32);
});

test('a part that is not there, or a place outside it, is refused', async () => {
  await assert.rejects(board.flipBit({ part: 'bl9' }), {
    code: 'lab/unknown-part',
    remedy: /bl2.*kernel.*boot_a/,
  });
  await assert.rejects(board.flipBit({ part: 'root', slot: 'b' }), { code: 'lab/unknown-part' });
  await assert.rejects(board.flipBit({ part: 'bl2', offset: 32 }), { code: 'lab/outside-part' });
  await assert.rejects(board.flipBit({ part: 'bl2', bit: 8 }), { code: 'lab/outside-part' });
  await assert.rejects(board.writePart('fdt', Buffer.alloc(101)), { code: 'lab/outside-part' });
  await assert.rejects(board.readPart('fdt', { offset: -1 }), { code: 'lab/outside-part' });
});

test('a board that runs keeps its flash and disk to itself', async () => {
  await using running = board;
  await running.start();
  await assert.rejects(running.flipBit({ part: 'bl2' }), { code: 'lab/board-running' });
  await assert.rejects(running.readPart('bl2'), { code: 'lab/board-running' });
});
