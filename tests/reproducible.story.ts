// SPDX-License-Identifier: Apache-2.0
//
// The same inputs give the same bytes: everything is built a second time, in another folder inside another repository, with an empty
// cache, for another user's umask, time zone and language, and compared with the working copy's own build. On the way it is interrupted
// while a compiler runs, and continues.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { findWorkspace } from '@mbl/cli';
import { finish, mblJson, temporaryFolder } from './support/mbl.ts';
import { processesOf } from './support/processes.ts';
import { cacheWithDownloads, copyWorkingCopy, fileDigest } from './support/working-copy.ts';
import { until } from './support/world.ts';

interface Build {
  readonly directory: string;
  readonly buildId: string;
  readonly tasks: readonly { readonly task: string; readonly cached: boolean }[];
}

const run = promisify(execFile);
const limit = 1_800_000;

test('two builds in two folders give the same bytes', { timeout: 2 * limit }, async () => {
  const first = await mblJson<Build>(['build'], { timeout: limit });
  await using folder = await temporaryFolder();
  const { path } = folder;
  // A source's build that asks git for its revision would find this one's.
  await run('git', ['init', '-q', path]);
  const author = ['-c', 'user.name=Somebody', '-c', 'user.email=somebody@example.org'];
  await run('git', ['-C', path, ...author, 'commit', '-q', '--allow-empty', '-m', 'Another history']);
  const copy = join(path, 'somewhere', 'quite-another-folder');
  const cache = join(path, 'cache');
  await copyWorkingCopy(copy);
  const own = findWorkspace();
  await cp(join(own.state, 'keys'), join(copy, '.mbl', 'keys'), { recursive: true });
  await cacheWithDownloads(cache, own.cache);

  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    MBL_CACHE: cache,
    TZ: 'Asia/Kathmandu',
    LC_ALL: 'tr_TR.UTF-8',
    LANG: 'tr_TR.UTF-8',
    HOME: path,
    USER: 'somebody-else',
    SOURCE_DATE_EPOCH: '1',
  };
  delete environment['MBL_STATE'];
  const command = ['node_modules/.bin/node', 'packages/cli/src/main.ts', 'build'];
  const build = (...options: string[]): ChildProcess => {
    const script = ['-c', 'umask 077; exec "$@"', 'sh', ...command, ...options];
    return spawn('sh', script, { cwd: copy, env: environment });
  };

  const child = build();
  let said = '';
  child.stderr?.on('data', (piece: Buffer) => (said += piece.toString()));
  const interrupted = finish(child, limit);
  await until('a compiler runs', async () => /: compiling/.test(said) || child.exitCode !== null, limit);
  child.kill('SIGINT');
  const { code, stderr } = await interrupted;
  assert.equal(code, 130, stderr);
  assert.deepEqual(await readdir(join(copy, 'build')).catch(() => []), []);
  assert.deepEqual(await processesOf(cache), [], 'the compilers ended too');

  const result = await finish(build('--json'), limit);
  assert.equal(result.code, 0, result.stderr);
  const second = JSON.parse(result.stdout) as Build;
  for (const task of ['u-boot', 'optee', 'flash', 'root', 'fit'])
    assert.ok(!second.tasks.find((each) => each.task === task)?.cached, `${task} was built again`);
  assert.ok(second.directory.startsWith(copy));
  assert.equal(second.buildId, first.buildId);
  for (const file of ['image.json', 'lock.json', 'packages.cdx.json', 'flash.bin', 'disk.img']) {
    const [one, two] = [join(first.directory, file), join(second.directory, file)];
    assert.equal(await fileDigest(two), await fileDigest(one), `${file}: compare ${one} and ${two}`);
  }
});
