// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { TemporaryFolder } from '../testing/support.ts';
import { parseBoot, readBoard } from './board.ts';
import { defaultSystem } from './options.ts';

function boardIn(folder: TemporaryFolder) {
  const bootFile = join(folder.path, 'boot');
  const incidents = join(folder.path, 'incidents');
  return { board: readBoard({ ...defaultSystem, bootFile, incidents }), bootFile, incidents };
}

test('the slot and its attempts, as the initramfs wrote them', async () => {
  using folder = new TemporaryFolder();
  const { board, bootFile } = boardIn(folder);
  assert.deepEqual(await board.getBoot(), { slot: '', attempts: 0 });
  writeFileSync(bootFile, 'slot=b\nattempts=2\n');
  assert.deepEqual(await board.getBoot(), { slot: 'b', attempts: 2 });
  writeFileSync(bootFile, 'x'.repeat(5000));
  await assert.rejects(board.getBoot(), { code: 'formats/too-large' });
  assert.deepEqual(parseBoot('slot=c\nattempts=-1\n'), { slot: '', attempts: 0 });
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseBoot(text)));
});

test('incidents are told until they are forgotten', async () => {
  using folder = new TemporaryFolder();
  const { board, incidents } = boardIn(folder);
  assert.deepEqual(await board.getIncidents(), [], 'no folder yet');
  mkdirSync(incidents);
  writeFileSync(join(incidents, 'slot-changed-89ab4567'), 'b after a\n');
  writeFileSync(join(incidents, 'data-made-0123abcd'), '');
  assert.deepEqual(await board.getIncidents(), [
    { id: 'data-made-0123abcd', kind: 'data-made', detail: '' },
    { id: 'slot-changed-89ab4567', kind: 'slot-changed', detail: 'b after a' },
  ]);
  await board.forgetIncidents({ ids: ['data-made-0123abcd', 'data-made-00000000'] });
  assert.deepEqual(readdirSync(incidents), ['slot-changed-89ab4567']);
});

test('a crafted folder costs nothing: links, pipes, folders, long and binary files, other names, too many', async () => {
  using folder = new TemporaryFolder();
  const { board, incidents } = boardIn(folder);
  mkdirSync(incidents);
  const secret = join(folder.path, 'secret');
  writeFileSync(secret, 'the enrolment code');
  symlinkSync(secret, join(incidents, 'data-made-00000001'));
  symlinkSync('/dev/zero', join(incidents, 'data-made-00000002'));
  execFileSync('mkfifo', [join(incidents, 'data-made-00000003')]);
  mkdirSync(join(incidents, 'data-made-00000004'));
  for (const name of [
    'data-made',
    'Data-made-00000005',
    'data-made-0000000G',
    `${'x'.repeat(33)}-00000000`,
    '.x',
  ]) {
    writeFileSync(join(incidents, name), 'other');
  }
  writeFileSync(join(incidents, 'watchdog-00000006'), `${'y'.repeat(10_000)}\nsecond`);
  writeFileSync(
    join(incidents, 'watchdog-00000007'),
    Buffer.from([0, 27, 0x5b, 0xff, 0x41, 0x0d, 0x0a, 0x42]),
  );
  assert.deepEqual(await board.getIncidents(), [
    { id: 'watchdog-00000006', kind: 'watchdog', detail: 'y'.repeat(200) },
    { id: 'watchdog-00000007', kind: 'watchdog', detail: '??[?A?' },
  ]);
  await board.forgetIncidents({ ids: ['../secret', 'data-made', '', 'data-made-00000001'] });
  assert.ok(existsSync(secret), 'what a link names is not removed');
  assert.ok(!readdirSync(incidents).includes('data-made-00000001'));
  for (let n = 0; n < 300; n++) {
    writeFileSync(join(incidents, `watchdog-1${n.toString(16).padStart(7, '0')}`), `${n}`);
  }
  assert.equal((await board.getIncidents()).length, 64);
});
