// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentOfTools, runCommand } from './processes.ts';

test('a tool with libraries of its own is started without what loads others, and with all else', async () => {
  const foreign = { LD_LIBRARY_PATH: '/nonexistent', LD_PRELOAD: '', GCONV_PATH: '/nonexistent' };
  Object.assign(process.env, foreign, { MBL_TEST_KEPT: 'yes' });
  try {
    const { stdout } = await runCommand('env', [], { env: environmentOfTools(), debianPackage: 'coreutils' });
    for (const name of Object.keys(foreign)) assert.doesNotMatch(stdout, new RegExp(`^${name}=`, 'm'));
    assert.match(stdout, /^MBL_TEST_KEPT=yes$/m);
    assert.match(stdout, /^PATH=\//m);
  } finally {
    for (const name of [...Object.keys(foreign), 'MBL_TEST_KEPT']) delete process.env[name];
  }
});
