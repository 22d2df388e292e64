// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testCli } from '../testing/cli.ts';
import { createProgram } from '../program.ts';
import { completeWords } from './complete.ts';

async function complete(...words: string[]): Promise<string[] | 'folders'> {
  const values = async (kind: string) =>
    kind === 'layer' ? ('folders' as const) : [{ value: `a-${kind}` }, { value: `b-${kind}` }];
  const found = await completeWords(
    createProgram(testCli().cli, () => {}),
    words,
    values,
  );
  return found === 'folders' ? found : found.map(({ value }) => value);
}

test('completes commands and their commands', async () => {
  assert.deepEqual(await complete('d'), ['down', 'doctor', 'device']);
  assert.deepEqual(await complete('device', 'w'), ['write', 'watch']);
  assert.deepEqual(await complete('keys', ''), ['init', 'show']);
  assert.equal((await complete('')).includes('complete'), false, 'hidden');
});

test('completes options, each once unless it may repeat', async () => {
  assert.deepEqual(await complete('build', '--m'), ['--machine']);
  assert.deepEqual(await complete('build', '--machine', 'x', '--m'), []);
  assert.deepEqual(await complete('build', '--layer', 'x', '--la'), ['--layer']);
  assert.deepEqual(await complete('doctor', '-'), ['--json', '--help']);
});

test('completes values of options and arguments', async () => {
  assert.deepEqual(await complete('up', 'a'), ['a-board']);
  assert.deepEqual(await complete('up', '--machine', '=', 'a'), ['a-machine']);
  assert.deepEqual(await complete('up', '--machine', '='), ['a-machine', 'b-machine']);
  assert.deepEqual(await complete('device', 'show', ''), ['a-device', 'b-device']);
  assert.deepEqual(await complete('device', 'show', 'x', ''), []);
  assert.deepEqual(await complete('logs', 's'), ['service', 'serial']);
  assert.deepEqual(await complete('logs', '-f', 'serial', 'b'), ['b-board']);
  assert.deepEqual(await complete('test', 'unit', 'a'), ['a-what']);
  assert.equal(await complete('build', '--layer', ''), 'folders');
  assert.deepEqual(await complete('board', 'reset', ''), ['a-board', 'b-board']);
  assert.ok((await complete('device', 'suspend', 'x', '--category', 'm')).includes('maintenance'));
});
