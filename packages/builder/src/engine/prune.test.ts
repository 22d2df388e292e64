// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { lockFile } from './file-lock.ts';
import { type CacheKind, pruneCache } from './prune.ts';
import { Store } from './store.ts';

const day = 86_400_000;
const unusedForMs = 30 * day;
const longAgo = new Date(Date.now() - 40 * day);

/** A cache with outputs `old` (unused for 40 days) and `new`, an unfinished one, a log and a fetched file, all three old. */
async function cache(t: TestContext): Promise<{ folder: string; store: Store; fetched: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-prune-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const store = new Store(folder, 0o755);
  await store.start();
  for (const id of ['old', 'new']) {
    const { out } = await store.prepare(id);
    await writeFile(join(out, 'text'), id);
    const { folder: made } = await store.commit(id);
    if (id === 'old') await utimes(join(made, '../output.json'), longAgo, longAgo);
  }
  const fetched = join(folder, 'downloads', 'ab', 'abc');
  await mkdir(dirname(fetched), { recursive: true });
  await writeFile(fetched, 'fetched');
  await writeFile(store.log('old'), 'said');
  await store.prepare('left');
  for (const file of [fetched, store.log('old'), store.staging('left')]) await utimes(file, longAgo, longAgo);
  return { folder, store, fetched };
}

/** How many of which kind. */
async function prune(folder: string, kinds: CacheKind[], dryRun = false): Promise<[string, number][]> {
  const report = await pruneCache(folder, { unusedForMs, kinds, dryRun });
  for (const { kind, bytes } of report) assert.ok(bytes > 0, `${kind} took room`);
  return report.map(({ kind, removed }) => [kind, removed]);
}

void test('removes what nobody used, and no more than it announced', async (t) => {
  const { folder, store, fetched } = await cache(t);
  const kinds: CacheKind[] = ['outputs', 'unfinished', 'logs'];
  const expected = [
    ['outputs', 1],
    ['unfinished', 1],
    ['logs', 1],
  ];
  assert.deepEqual(await prune(folder, kinds, true), expected);
  assert.deepEqual(await prune(folder, kinds), expected);
  assert.deepEqual(await prune(folder, kinds), []);
  assert.equal(await store.find('old'), undefined);
  assert.ok('output' in ((await store.find('new')) ?? {}));
  assert.equal((await stat(fetched)).size, 7, 'stays until it is asked for');
  assert.deepEqual(await prune(folder, ['downloads']), [['downloads', 1]]);
  await assert.rejects(stat(fetched), { code: 'ENOENT' });
});

void test('a toolbox goes by its mark, not by the time of its folder', async (t) => {
  const { folder } = await cache(t);
  for (const name of ['run-old', 'run-new']) {
    const place = join(folder, 'toolbox', name);
    await mkdir(join(place, 'usr/bin'), { recursive: true });
    await writeFile(join(place, 'complete'), '');
    if (name === 'run-old') await utimes(join(place, 'complete'), longAgo, longAgo);
  }
  assert.deepEqual(await prune(folder, ['toolboxes']), [['toolboxes', 1]]);
  await stat(join(folder, 'toolbox/run-new/complete'));
});

void test('a use of an output keeps it', async (t) => {
  const { folder, store } = await cache(t);
  await store.find('old');
  assert.deepEqual(await prune(folder, ['outputs']), []);
});

void test('leaves what a build holds', async (t) => {
  const { folder, store } = await cache(t);
  {
    await using _ = await lockFile(store.lock('old'));
    await using __ = await lockFile(store.lock('left'));
    assert.deepEqual(await prune(folder, ['outputs', 'unfinished']), []);
  }
  assert.equal((await prune(folder, ['outputs', 'unfinished'])).length, 2);
});

void test('a folder that is not there holds nothing', async (t) => {
  const { folder } = await cache(t);
  assert.deepEqual(await prune(join(folder, 'nothing'), ['outputs', 'downloads']), []);
});
