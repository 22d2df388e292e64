// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TemporaryFolder } from '../testing/support.ts';

const script = join(import.meta.dirname, '../../../../os/rootfs/device/usr/lib/mbl/app-health.sh');

test('an app starts anew after so many failures in a row, unless its release is on trial', () => {
  using folder = new TemporaryFolder();
  const at = (...names: string[]) => join(folder.path, ...names);
  mkdirSync(at('sensor'));
  mkdirSync(at('bin'));
  writeFileSync(at('bin', 'systemctl'), `#!/bin/sh\necho "$@" >>${at('called')}\n`, { mode: 0o755 });
  writeFileSync(at('script'), readFileSync(script, 'utf8').replaceAll('/run/mbl/apps', folder.path));
  const run = (result: string, ...args: string[]) =>
    void execFileSync('/bin/sh', [at('script'), 'sensor', ...args], {
      env: { PATH: at('bin'), SERVICE_RESULT: result },
    });
  const failures = () => readFileSync(at('sensor', 'failures'), 'utf8');
  const restarts = () =>
    existsSync(at('called')) ? readFileSync(at('called'), 'utf8').trim().split('\n').length : 0;
  run('', 'begin');
  for (const [result, count, starts] of [
    ['exit-code', '1\n', 0],
    ['success', '', 0],
    ['timeout', '1\n', 0],
    ['signal', '2\n', 0],
    ['exit-code', '', 1],
    ['exit-code', '1\n', 1],
  ] as const) {
    run(result, 'end', '3');
    assert.deepEqual([failures(), restarts()], [count, starts], result);
  }
  assert.match(readFileSync(at('called'), 'utf8'), /^try-restart --no-block mbl-app-sensor\.service$/m);
  writeFileSync(at('sensor', 'trial'), '');
  for (let n = 0; n < 4; n++) run('exit-code', 'end', '3');
  assert.deepEqual([failures(), restarts()], ['1\n', 1]);
  rmSync(at('sensor', 'trial'));
  run('', 'begin');
  assert.equal(failures(), '');
});
