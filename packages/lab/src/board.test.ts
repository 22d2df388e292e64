// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MblError } from '@mbl/trust';
import { createBoard, openBoard } from './create-board.ts';
import { makeBareBuild } from './testing/bare-guest.ts';

let work = '';
let build = '';

before(async () => {
  work = await mkdtemp(join(tmpdir(), 'lab-board-'));
  build = await makeBareBuild(join(work, 'build'));
});

after(async () => await rm(work, { recursive: true, force: true }));

function failsWith(code: string, message?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MblError, String(error));
    assert.equal(error.code, code);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  };
}

test('a board starts, says its lines, echoes what is typed, and loses its power', async () => {
  await using board = await createBoard({ directory: join(work, 'one'), name: 'one', imageDirectory: build });
  assert.equal(board.running, false);
  await board.start();
  const { line } = await board.serial.waitFor('guest ready', { timeoutMs: 10_000 });
  assert.ok(Math.abs(line.at.getTime() - Date.now()) < 10_000);
  await board.serial.write('hello 42\n');
  const { match } = await board.serial.waitFor(/hello (\d+)/, { timeoutMs: 10_000 });
  assert.equal(match[1], '42');
  assert.match(await readFile(board.serial.logPath, 'utf8'), /^\d{4}-\d\d-\d\dT[\d:.]{12}Z guest ready\n/);
  const waiting = board.serial.waitFor('never said', { timeoutMs: 60_000 });
  const outcome = assert.rejects(waiting, failsWith('lab/board-stopped', /hello 42/));
  await board.powerOff();
  await outcome;
  assert.equal(board.running, false);
});

test('a board that runs cannot be started again, and is found by its folder', async () => {
  await using board = await createBoard({ directory: join(work, 'two'), name: 'two', imageDirectory: build });
  await board.start();
  const other = await openBoard(board.directory);
  assert.equal(other.running, true);
  await assert.rejects(other.start(), failsWith('lab/board-running', /two is running already/));
  await other.serial.waitFor('guest ready', { timeoutMs: 10_000 });
  await other.powerOff();
  assert.equal(board.running, false);
});
