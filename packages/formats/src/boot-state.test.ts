// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type BootState,
  bootStateOffsets,
  bootStateSize,
  chooseBootState,
  formatBootState,
  initialBootState,
  parseBootState,
} from './boot-state.ts';

const state: BootState = { sequence: 7, first: 'a', tried: 'b', attempts: { a: 3, b: 1 } };

function partition(...copies: (Uint8Array | undefined)[]): Buffer {
  const bytes = Buffer.alloc(64 * 1024);
  for (const [i, copy] of copies.entries()) if (copy !== undefined) bytes.set(copy, bootStateOffsets[i]);
  return bytes;
}

test('a copy is one sector of text', () => {
  const sector = formatBootState(state);
  assert.equal(sector.length, 512);
  assert.equal(sector.toString('latin1').replace(/\0+$/, ''), 'MBL-BOOT 1 0000000007 a b 03 01\n');
  assert.deepEqual(parseBootState(sector), state);
  assert.deepEqual(bootStateOffsets, [0, 4096]);
});

test('a count that has no room stays at the highest', () => {
  const { attempts } = parseBootState(formatBootState({ ...state, attempts: { a: 120, b: 0 } })) ?? state;
  assert.deepEqual(attempts, { a: 99, b: 0 });
});

test('the valid copy with the higher sequence holds, and the other is written next', () => {
  const [older, newer] = [formatBootState(state), formatBootState({ ...state, sequence: 8 })];
  assert.deepEqual(chooseBootState(partition(older, newer)), { state: { ...state, sequence: 8 }, next: 0 });
  assert.deepEqual(chooseBootState(partition(newer, older)), { state: { ...state, sequence: 8 }, next: 1 });
  assert.deepEqual(chooseBootState(partition(older, undefined)), { state, next: 1 });
  assert.deepEqual(chooseBootState(partition(undefined, older)), { state, next: 0 });
  assert.deepEqual(chooseBootState(partition()), { state: initialBootState, next: 0 });
});

test('a torn or foreign copy is not valid', () => {
  const sector = formatBootState(state);
  for (const at of [0, 9, 11, 22, 24, 26, 31]) {
    const torn = Buffer.from(sector);
    torn[at] = 0;
    assert.equal(parseBootState(torn), undefined, `byte ${at}`);
  }
  const trailing = Buffer.from(sector);
  trailing[100] = 1;
  assert.equal(parseBootState(trailing), undefined);
  assert.equal(parseBootState(sector.subarray(1)), undefined);
});

test('no bytes are an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 2 * bootStateSize }), (bytes) => {
      parseBootState(bytes);
      chooseBootState(bytes);
    }),
  );
});
