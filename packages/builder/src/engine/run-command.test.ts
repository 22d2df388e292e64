// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import { endOrphans } from './orphans.ts';
import { runCommand } from './run-command.ts';
import { toolPackages } from './tool-packages.ts';

const isError =
  (code: string, message = /./) =>
  (error: unknown): boolean =>
    error instanceof MblError && error.code === code && message.test(`${error.message} ${error.remedy}`);

void test('a command runs with a clean environment', async () => {
  process.env['LEAK'] = 'yes';
  const output = await runCommand('env', [], { capture: true, env: { OWN: '1', TZ: undefined } });
  delete process.env['LEAK'];
  const names = output
    .toString()
    .trim()
    .split('\n')
    .map((line) => line.slice(0, line.indexOf('=')));
  assert.deepEqual(names.toSorted(), ['GIT_DIR', 'HOME', 'LC_ALL', 'OWN', 'PATH', 'SOURCE_DATE_EPOCH']);
  assert.match(output.toString(), /LC_ALL=C.UTF-8\n/);
  assert.match(output.toString(), /HOME=\/nonexistent\n/);
  assert.match(output.toString(), /PATH=.*:\/usr\/sbin/);
});

void test('lines of both outputs are logged, input is given, output is captured as bytes', async () => {
  const lines: string[] = [];
  await runCommand('sh', ['-c', 'echo one; echo two >&2; printf three'], { log: (line) => lines.push(line) });
  assert.deepEqual(lines.slice(1).toSorted(), ['one', 'three', 'two']);
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i);
  assert.deepEqual(new Uint8Array(await runCommand('cat', [], { input: bytes, capture: true })), bytes);
  await runCommand('true', [], { input: bytes });
});

void test('a failing, missing or endless command is an error of its own', async () => {
  await assert.rejects(runCommand('sh', ['-c', 'exit 7']), isError('builder/command-failed', /status 7/));
  await assert.rejects(runCommand('sh', ['-c', 'kill -9 $$']), isError('builder/command-failed', /SIGKILL/));
  await assert.rejects(runCommand('no-such-tool', []), isError('builder/missing-tool', /"no-such-tool"/));
  await assert.rejects(
    runCommand('true', [], { cwd: '/nonexistent' }),
    isError('builder/command-failed', /no folder/),
  );
  await assert.rejects(
    runCommand('sleep', ['60'], { timeout: 100 }),
    isError('builder/command-failed', /did not end/),
  );
});

void test('the packages of all tools are among those that the launcher installs', async () => {
  const list = await readFile(resolve(import.meta.dirname, '../../../../os/host-packages.txt'), 'utf8');
  const installed = new Set([...list.matchAll(/^run\s+(\S+)/gm)].map(([, name]) => name));
  const missing = Object.values(toolPackages).filter((name) => name !== 'apt' && !installed.has(name));
  assert.deepEqual(missing, []);
});

void test('a missing tool names the package to install', async (t) => {
  const path = process.env['PATH'];
  t.after(() => {
    process.env['PATH'] = path;
  });
  process.env['PATH'] = '/nonexistent';
  await assert.rejects(
    runCommand('mkfs.erofs', [], { env: { PATH: '/nonexistent' } }),
    isError('builder/missing-tool', /apt-get install erofs-utils/),
  );
});

void test('an abort ends the whole group, also what ignores a polite request', async () => {
  const mark = `test-${process.pid}`;
  const stop = new AbortController();
  const running = runCommand('sh', ['-c', 'trap "" TERM; sleep 61 & while :; do sleep 0.1; done'], {
    signal: stop.signal,
    env: { MBL_TASK: mark },
  });
  setTimeout(() => stop.abort(), 100);
  const begin = performance.now();
  await assert.rejects(running, isError('builder/stopped'));
  assert.ok(performance.now() - begin < 5000);
  assert.deepEqual(await endOrphans(mark), []);
  await assert.rejects(runCommand('true', [], { signal: AbortSignal.abort() }), isError('builder/stopped'));
});

void test('a child that is left behind ends with its command', async () => {
  const mark = `test-${process.pid}-left`;
  await runCommand('sh', ['-c', 'sleep 62 & exit 0'], { env: { MBL_TASK: mark } });
  assert.deepEqual(await endOrphans(mark), []);
});
