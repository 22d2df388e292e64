// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { boundedOutput } from './bounded-output.ts';

test('a log that grows begins anew, and what was in it is beside it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mbl-log-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'service.log');
  const line = (n: number) => `line ${String(n).padStart(4, '0')}\n`;
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => line(from + index)).join('');
  const fd = openSync(path, 'a');
  const other = openSync(path, 'a');
  writeSync(other, lines(0, 3));
  // Ten lines fit, the three that were there counted.
  const write = boundedOutput(fd, 100);
  for (let n = 3; n < 27; n++) write(line(n));
  assert.equal(readFileSync(join(folder, 'service.previous.log'), 'utf8'), lines(10, 20));
  assert.equal(readFileSync(path, 'utf8'), lines(20, 27));
  // A crash says its last words through another descriptor of the same file.
  writeSync(other, 'crash\n');
  assert.equal(readFileSync(path, 'utf8'), `${lines(20, 27)}crash\n`);
  closeSync(fd);
  closeSync(other);

  const plain = openSync(join(folder, 'plain.log'), 'w');
  const endless = boundedOutput(plain, 100);
  for (let n = 0; n < 20; n++) endless(line(n));
  assert.equal(
    statSync(join(folder, 'plain.log')).size,
    200,
    'what was not opened to append keeps its bytes',
  );
  closeSync(plain);
});
