// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { maxAppOrder } from '@mbl/formats';
import { TemporaryFolder } from '../testing/support.ts';
import { formatSignedApps } from './judge.ts';

const unit = join(
  import.meta.dirname,
  '../../../../os/rootfs/device/usr/lib/systemd/system/mbl-apps.service',
);

/** Has a process with the memory of `mbl-apps` read and judge a document, and returns what that came to. */
function judgedIn(folder: TemporaryFolder, document: string): string {
  const [heap = ''] = /--max-old-space-size=\d+/.exec(readFileSync(unit, 'utf8')) ?? [];
  assert.notEqual(heap, '');
  const path = join(folder.path, 'order.json');
  writeFileSync(path, document);
  const script = `
    const { readFile } = await import('node:fs/promises');
    const { judgeApps, parseSignedApps } = await import(${JSON.stringify(join(import.meta.dirname, 'judge.ts'))});
    try {
      const signed = parseSignedApps(await readFile(${JSON.stringify(path)}, 'utf8'), 'order');
      const judged = await judgeApps(signed, { root: Buffer.from(signed.metadata[0].content), keys: 'development', rollbackIndex: 0 });
      console.log(judged.reason);
    } catch (error) {
      console.log(error.code);
    }`;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', heap, '--input-type=module', '--eval', script],
    { encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr.slice(0, 500));
  return stdout.trim();
}

test('a document that is made to cost memory is refused, and ends nobody', () => {
  using folder = new TemporaryFolder();
  const one = { version: 1, team: 'weather', release: '1' };
  const empty = '[],'.repeat(maxAppOrder / 3 - 50);
  assert.equal(
    judgedIn(folder, `${JSON.stringify(one).slice(0, -1)},"metadata":[${empty}0]}`),
    'device/bad-app-order',
  );
  const content = `[${'[],'.repeat(1_300_000)}0]`;
  // As much as a document may have in all.
  const metadata = Array.from({ length: 2 }, (_, i) => ({ name: `${i}.root.json`, content }));
  assert.equal(
    judgedIn(folder, formatSignedApps({ team: 'weather', release: '1', metadata })),
    'update/signature-invalid',
  );
});
