// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillFlash, flashAreas, type FlashLayout } from './flash-layout.ts';

const block = 0x1000;
const layout: FlashLayout = {
  size: 16 * block,
  eraseBlock: block,
  bankA: block,
  bankB: 8 * block,
  bankSize: 4 * block,
};

test('a flash has two banks, and the state of the firmware in its last two blocks', () => {
  assert.deepEqual(flashAreas(layout), {
    bank_a: { offset: block, size: 4 * block },
    bank_b: { offset: 8 * block, size: 4 * block },
    firmware_state_a: { offset: 14 * block, size: block },
    firmware_state_b: { offset: 15 * block, size: block },
  });
});

for (const [change, what] of [
  [{ bankB: 4 * block }, /bank_b starts before bank_a ends/],
  [{ bankA: 8 * block, bankB: block, bankSize: 8 * block }, /bank_a starts before bank_b ends/],
  [{ bankB: 11 * block }, /firmware_state_a starts before bank_b ends/],
  [{ bankA: block / 2 }, /bank_a starts or ends within an erase block/],
  [{ size: 15.5 * block }, /within an erase block/],
] as const)
  test(`a layout is refused: ${what.source}`, () => {
    assert.throws(() => flashAreas({ ...layout, ...change }), {
      code: 'builder/flash-layout',
      message: what,
    });
  });

test('BL1 and the FIP stand in a flash that is erased elsewhere', () => {
  const flash = fillFlash(layout, Buffer.from('bl1'), Buffer.from('fip'));
  const expected = Buffer.alloc(layout.size, 0xff);
  expected.write('bl1', 0);
  expected.write('fip', block);
  assert.ok(flash.equals(expected));
});

test('what fills its place is taken, one byte more is refused', () => {
  fillFlash(layout, Buffer.alloc(block), Buffer.alloc(4 * block));
  const full = { code: 'builder/flash-full' };
  assert.throws(() => fillFlash(layout, Buffer.alloc(block + 1), Buffer.alloc(1)), {
    ...full,
    message: /BL1 has 4097 bytes, and its place in the flash 4096/,
  });
  assert.throws(() => fillFlash(layout, Buffer.alloc(1), Buffer.alloc(4 * block + 1)), {
    ...full,
    message: /package has 16385 bytes/,
  });
});
