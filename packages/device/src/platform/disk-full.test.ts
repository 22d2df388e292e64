// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BootState, bootStateOffsets, chooseBootState, formatBootState } from '@mbl/formats';
import { FakeBanks } from '../testing/fake-banks.ts';
import { imageJson, TemporaryFolder } from '../testing/support.ts';
import { defaultSystem } from './options.ts';
import type { ReleaseVerifier } from './release.ts';
import { installUpdates } from './update.ts';

const proved: BootState = { sequence: 4, first: 'a', tried: 'a', attempts: { a: 0, b: 0 } };
const rootHash = 'ab'.repeat(32);
const bytes = Buffer.alloc(10_000, 0x5a);

/** A release with this index, whose kernel and root are the same bytes; `judged` is told the index that the board holds against it. */
function signed(rollbackIndex: number, judged: (index: number) => void): Pick<ReleaseVerifier, 'verify'> {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const file = { file: 'part', size: bytes.length, sha256 };
  const tree = { dataSize: 12_288, rootHash, salt: '' };
  const payload = { ...file, ...tree, indexSize: 1, indexSha256: sha256, maps: [] };
  const target = { path: 'part', length: bytes.length, hashes: { sha256 }, role: 'os' };
  return {
    verify(name, _files, board) {
      judged(board.rollbackIndex);
      const release = {
        version: 1,
        team: 'os',
        name,
        keys: 'development',
        rollbackIndex,
        notes: '',
        images: [],
      } as const;
      const component = (part: string) => ({
        component: { name: part, version: name, ...file, payload, requires: [] },
        target,
        payload: target,
      });
      const image = { machine: board.machine, image: 'product', buildId: '', components: [] };
      const accepted = { release, image, components: ['kernel', 'root'].map(component) };
      return Promise.resolve({ accepted, locate: ({ path }) => path });
    },
  };
}

/** A board that runs slot a, and whose slot b holds the release already. */
function boardWith(folder: string) {
  const at = (...names: string[]): string => join(folder, ...names);
  for (const name of ['disk', 'update']) mkdirSync(at(name));
  for (const name of ['boot_a', 'boot_b', 'root_a', 'root_b']) writeFileSync(at('disk', name), bytes);
  writeFileSync(at('image.json'), imageJson);
  const indices: number[] = [];
  const start = (slot: 'a' | 'b', state: BootState) => {
    writeFileSync(at('boot'), `slot=${slot}\nattempts=1\n`);
    mkdirSync(at('sys/class/block/dm-0/dm'), { recursive: true });
    writeFileSync(at('sys/class/block/dm-0/dm/uuid'), `VERITY-${rootHash}`);
    const sectors = Buffer.alloc(8192);
    sectors.set(formatBootState(state), bootStateOffsets[0]);
    writeFileSync(at('disk/state'), sectors);
    const files = {
      root: folder,
      bootFile: at('boot'),
      disk: at('disk'),
      update: at('update'),
      imageFile: at('image.json'),
    };
    return installUpdates(
      { ...defaultSystem, ...files },
      signed(3, (index) => indices.push(index)),
      new FakeBanks(),
    );
  };
  const state = (): BootState => chooseBootState(readFileSync(at('disk/state'))).state;
  /** A file of the folder of updates finds no space any more (full(4)), or has it again. */
  const fill = (name: string) => symlinkSync('/dev/full', at('update', `.${name}.new`));
  const free = (name: string) => unlinkSync(at('update', `.${name}.new`));
  return { at, start, state, fill, free, indices };
}

test('a trial that cannot be noted is not started, and can be later', async () => {
  using folder = new TemporaryFolder();
  const { at, start, state, fill, free } = boardWith(folder.path);
  const platform = start('a', proved);
  await platform.checkRelease({ release: '1.1', metadata: [] });
  fill('trial.json');
  await assert.rejects(platform.startTrial(), { code: 'ENOSPC' });
  assert.deepEqual(state(), proved);
  assert.ok(!readdirSync(at('update')).includes('trial.json'));
  free('trial.json');
  await platform.startTrial();
  assert.equal(state().first, 'b');
});

test('a version that proved good is told and counts, though nothing can be kept', async () => {
  using folder = new TemporaryFolder();
  const { at, start, fill, free, indices } = boardWith(folder.path);
  const before = start('a', proved);
  await before.checkRelease({ release: '1.1', metadata: [] });
  await before.startTrial();
  for (const full of ['accepted.json', 'outcome.json']) {
    fill(full);
    const platform = start('b', { sequence: 9, first: 'b', tried: 'b', attempts: { a: 0, b: 0 } });
    const { state, release } = await platform.getUpdate();
    assert.deepEqual([state, release], ['confirmed', '1.1']);
    assert.ok(readdirSync(at('update')).includes('trial.json'), 'and is told again');
    await platform.checkRelease({ release: '1.2', metadata: [] });
    assert.equal(indices.at(-1), 3);
    free(full);
  }
  const platform = start('b', { sequence: 9, first: 'b', tried: 'b', attempts: { a: 0, b: 0 } });
  assert.equal((await platform.getUpdate()).state, 'confirmed');
  assert.deepEqual(
    readdirSync(at('update')).filter((name) => !name.startsWith('.')),
    ['accepted.json', 'outcome.json'],
  );
});
