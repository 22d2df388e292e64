// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import { printFailure, toFailure } from './failure.ts';
import { Output, type Sink } from './output.ts';
import { formatAge, formatDuration, formatSize, formatTable } from './table.ts';

function capture(options: { isTTY?: boolean; environment?: Record<string, string> } = {}) {
  const written = { stdout: '', stderr: '' };
  const sink = (name: 'stdout' | 'stderr'): Sink => ({
    write: (text) => (written[name] += text),
    isTTY: options.isTTY === true,
    columns: 80,
  });
  const output = new Output({
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    ...(options.environment === undefined ? {} : { environment: options.environment }),
  });
  return { output, written };
}

test('a table has columns of equal width and no trailing spaces', () => {
  assert.deepEqual(
    formatTable(
      ['name', 'state'],
      [
        ['mbl-board-1', 'on'],
        ['b', '\u001b[31moff\u001b[39m'],
      ],
    ),
    ['name         state', 'mbl-board-1  on', 'b            \u001b[31moff\u001b[39m'],
  );
  assert.deepEqual(formatTable([], []), []);
});

test('figures read as a person says them', () => {
  assert.deepEqual([400, 9_940, 12_000, 59_600, 185_000].map(formatDuration), [
    '0.4 s',
    '9.9 s',
    '12 s',
    '1 min 00 s',
    '3 min 05 s',
  ]);
  assert.deepEqual([0, 1023, 4096, 125_000_000, 3 * 2 ** 40].map(formatSize), [
    '0 B',
    '1023 B',
    '4.0 KiB',
    '119 MiB',
    '3.0 TiB',
  ]);
  assert.deepEqual([0, 12_000, 180_000, 7_200_000, 172_800_000].map(formatAge), [
    'now',
    '12 s ago',
    '3 min ago',
    '2 h ago',
    '2 d ago',
  ]);
});

test('text is plain without a terminal and with NO_COLOR', () => {
  for (const options of [{ isTTY: false }, { isTTY: true, environment: { NO_COLOR: '1' } }]) {
    const { output, written } = capture(options);
    output.table(['a'], [['1']]);
    assert.equal(written.stdout, 'a\n1\n');
  }
  const { output, written } = capture({ isTTY: true });
  output.table(['a'], [['1']]);
  assert.equal(written.stdout, '\u001b[1ma\u001b[22m\n1\n');
});

test('JSON mode prints the value alone', async () => {
  const { output, written } = capture();
  output.json = true;
  output.line('for a person');
  output.remark('for a person');
  await output.progress.phase('work', async () => {});
  output.value({ a: 1 });
  assert.deepEqual(written, { stdout: '{\n  "a": 1\n}\n', stderr: '' });
});

test('a phase leaves one line with its time, also when it fails', async () => {
  const { output, written } = capture();
  assert.equal(
    await output.progress.phase(
      'build',
      async () => 7,
      () => ({ note: '3 of 9 tasks ran' }),
    ),
    7,
  );
  await output.progress.phase(
    'keys',
    async () => {},
    () => ({ quiet: true }),
  );
  await assert.rejects(
    output.progress.phase('boot', async () => {
      throw new Error('no');
    }),
    /no/,
  );
  assert.match(written.stderr, /^✔ build {2}0\.0 s {2}3 of 9 tasks ran\n✘ boot {2}0\.0 s\n$/);
});

test('an error is its code, message and remedy', () => {
  const { output, written } = capture();
  printFailure(
    output,
    new MblError('lab/no-board', 'There is no board x.', { remedy: 'Make one with: ./mbl up' }),
    false,
  );
  assert.equal(written.stderr, 'error [lab/no-board] There is no board x.\n  Make one with: ./mbl up\n');
});

test('in JSON mode an error is one line of JSON', () => {
  const { output, written } = capture();
  output.json = true;
  printFailure(output, new MblError('lab/no-board', 'no', { details: { name: 'x' } }), false);
  assert.deepEqual(JSON.parse(written.stderr), {
    error: { code: 'lab/no-board', message: 'no', details: { name: 'x' } },
  });
});

test('errors of the system are explained, others called a defect', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  assert.equal(toFailure(new Error('outer', { cause: full })).code, 'cli/disk-full');
  assert.equal(toFailure(new TypeError('x is not a function')).code, 'cli/internal');
  assert.equal(toFailure('thrown text').message, 'thrown text');
});
