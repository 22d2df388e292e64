// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MblError } from '@mbl/trust';
import { endOrphans } from './orphans.ts';
import { runCommand } from './run-command.ts';
import { currentTools } from './current-tools.ts';

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
  const own = ['GIT_DIR', 'HOME', 'LC_ALL', 'OPENSSL_CONF', 'OWN', 'PATH', 'SOURCE_DATE_EPOCH'];
  assert.deepEqual(names.toSorted(), own);
  assert.match(output.toString(), /LC_ALL=C.UTF-8\n/);
  assert.match(output.toString(), /HOME=\/nonexistent\n/);
  assert.match(output.toString(), /PATH=.*:\/usr\/sbin/);
});

void test('a command without input has no socket for it: bash would read the bashrc of the machine', async () => {
  const input = await runCommand('readlink', ['/proc/self/fd/0'], { capture: true });
  assert.equal(input.toString(), '/dev/null\n');
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

void test('a command finds the programs of its tools, and no others', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-tools-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'own-tool'), '#!/bin/sh\necho "$PATH $OWN"', { mode: 0o755 });
  const tools = { path: [folder], environment: { OWN: 'yes' } };
  await currentTools.run(tools, async () => {
    const said = await runCommand('own-tool', [], { capture: true });
    assert.equal(said.toString().trim(), `${folder} yes`);
    await assert.rejects(runCommand('ls', []), isError('builder/missing-tool', /contents\.ts/));
  });
  await assert.rejects(runCommand('own-tool', []), isError('builder/missing-tool', /mbl doctor/));
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
  const file = join(tmpdir(), `mbl-left-${process.pid}`);
  await runCommand('sh', ['-c', `sleep 600 & echo $! >${file}`]);
  const pid = Number(readFileSync(file, 'utf8'));
  rmSync(file);
  // It was told to end; a busy machine takes its time.
  const running = () => existsSync(`/proc/${pid}/exe`);
  for (let i = 0; i < 600 && running(); i++) await sleep(100);
  assert.ok(!running());
});
