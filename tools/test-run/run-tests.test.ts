// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runTests } from './run-tests.ts';

let root = '';
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'mbl-run-tests-'));
});
after(async () => await rm(root, { recursive: true, force: true }));

async function run(source: string, options: { signal?: AbortSignal; timeout?: number } = {}) {
  let text = '';
  const file = join(root, 'sample.test.mjs');
  await writeFile(file, `import { test, describe } from 'node:test';\n${source}`);
  const result = await runTests({
    root,
    files: [file],
    names: false,
    testTimeout: 10_000,
    timeout: options.timeout ?? 20_000,
    environment: process.env,
    signal: options.signal ?? new AbortController().signal,
    onOutput: (more) => (text += more),
  });
  return { result, text };
}

test('counts each test once, whatever holds it', async () => {
  const { result, text } = await run(`
    test('a', () => {});
    test('b', { skip: 'not here' }, () => {});
    describe('group', () => { test('c', () => {}); test('d', () => { throw new Error('broken d'); }); });
    test('outer', async (t) => { await t.test('inner', () => {}); });
  `);
  const { failures, ...counts } = result;
  assert.deepEqual(counts, { passed: 4, failed: 1, skipped: 1 });
  assert.equal(failures.length, 1);
  assert.match(failures[0] ?? '', /✘ group › d/);
  assert.match(text, /✘ group › d {2}\(sample\.test\.mjs:5\)\n\s+Error: broken d/);
  assert.doesNotMatch(text, /✘ group {2}/);
});

test('a process that ends early is a failure', async () => {
  const { result } = await run(
    `test('a', () => {}); setTimeout(() => process.exit(0), 50); test('b', () => new Promise(() => {}));`,
  );
  assert.equal(result.failed > 0, true);
});

test('a file that cannot be loaded is a failure', async () => {
  const { result } = await run(`import './missing.mjs';`);
  assert.equal(result.failed > 0, true);
});

test('a process that never ends is killed', async () => {
  const { result } = await run(`test('a', () => {}); setInterval(() => {}, 1000);`, { timeout: 1500 });
  assert.equal(result.failed, 1);
  assert.match(result.broken ?? '', /took more than/);
});

test('an abort stops the tests', async () => {
  const abort = new AbortController();
  setTimeout(() => abort.abort('SIGINT'), 300);
  await assert.rejects(
    run(`test('a', () => new Promise((r) => setTimeout(r, 60_000)));`, { signal: abort.signal }),
    (e) => e === 'SIGINT',
  );
});
