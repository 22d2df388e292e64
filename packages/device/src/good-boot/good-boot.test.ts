// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BootState, bootStateOffsets, chooseBootState, formatBootState } from '@mbl/formats';
import { FakeBanks } from '../testing/fake-banks.ts';
import { confirmBoot, goodBoot, readWhole } from './main.ts';

/** A partition that is gone at the end of the test. */
function statePartition(...copies: BootState[]): Disposable & { readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'mbl-good-boot-'));
  const path = join(folder, 'state');
  const bytes = Buffer.alloc(1024 * 1024);
  for (const [i, copy] of copies.entries()) bytes.set(formatBootState(copy), bootStateOffsets[i]);
  writeFileSync(path, bytes);
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

const tried: BootState = { sequence: 12, first: 'a', tried: 'b', attempts: { a: 3, b: 1 } };

test('the slot that was started last becomes the first, its attempts are forgotten', async () => {
  using partition = statePartition({ ...tried, sequence: 11 }, tried);
  const before = readFileSync(partition.path);
  await confirmBoot(partition.path);
  const after = readFileSync(partition.path);
  assert.deepEqual(chooseBootState(after), {
    state: { sequence: 13, first: 'b', tried: 'b', attempts: { a: 3, b: 0 } },
    next: 1,
  });
  assert.ok(after.subarray(512).equals(before.subarray(512)), 'the copy that held is as it was');
});

test('what is good already is not written again', async () => {
  using partition = statePartition({ ...tried, tried: 'a', attempts: { a: 0, b: 2 } });
  const before = readFileSync(partition.path);
  await confirmBoot(partition.path);
  assert.ok(readFileSync(partition.path).equals(before));
});

test('a partition that was never written, or holds noise, is no error', async () => {
  using partition = statePartition();
  assert.equal((await confirmBoot(partition.path)).sequence, 0);
  writeFileSync(partition.path, Buffer.alloc(8192, 0xa5));
  assert.equal((await confirmBoot(partition.path)).first, 'a');
});

test('the whole of a root is read', async () => {
  using partition = statePartition();
  assert.equal(await readWhole(partition.path), 1024 * 1024);
});

test('a state with the last number that there is does not hold for ever', async () => {
  using partition = statePartition({ ...tried, sequence: 9_999_999_999, attempts: { a: 99, b: 99 } });
  await confirmBoot(partition.path);
  const { state } = chooseBootState(readFileSync(partition.path));
  assert.deepEqual(state, { sequence: 1, first: 'b', tried: 'b', attempts: { a: 99, b: 0 } });
});

test('the boot state comes first, the counters after it, and the other bank last', async () => {
  using partition = statePartition({ ...tried, sequence: 11 }, tried);
  const said: string[] = [];
  const firstSlot = () => chooseBootState(readFileSync(partition.path)).state.first;
  class Told extends FakeBanks {
    override async confirm(): Promise<void> {
      said.push(`confirmed, slot ${firstSlot()} is first`);
      await super.confirm();
    }
    override async copy(): Promise<number> {
      said.push(`copied, stored ${this.stored} times`);
      return await super.copy();
    }
  }
  const banks = new Told();
  const options = { state: partition.path, update: partition.path, banks };
  await goodBoot({ ...options, say: (line) => said.push(line) });
  assert.deepEqual(said, [
    'slot b is good',
    'confirmed, slot b is first',
    'boot firmware: bank a is good',
    'copied, stored 1 times',
    'boot firmware: bank b is a copy of bank a: 4 blocks',
  ]);
});

test('a second copy that cannot be made says nothing against a start that proved good', async () => {
  using partition = statePartition({ ...tried, sequence: 11 }, tried);
  const said: string[] = [];
  const banks = new FakeBanks();
  banks.copy = () => Promise.reject(new Error('the flash fails'));
  const options = { state: partition.path, update: partition.path, banks };
  // What waits for the end of the trial is told of it once this has ended well (mbl-good-boot.service).
  await goodBoot({ ...options, say: (line) => said.push(line) });
  assert.deepEqual(said.slice(1), [
    'boot firmware: bank a is good',
    '<3>boot firmware: there is no second copy: the flash fails',
  ]);
});
