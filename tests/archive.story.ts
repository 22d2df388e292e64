// SPDX-License-Identifier: Apache-2.0
//
// A release can be rebuilt years later from one file; tests/hosts.story.ts does. Here: the file is the same each time, and what it lacks,
// what the recipes ask for beyond it, and a lock with a known hole are told by name.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cp, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { findWorkspace } from '@mbl/cli';
import { assertError, finish, mblJson, type MblResult, temporaryFolder } from './support/mbl.ts';
import { copyWorkingCopy, fileDigest } from './support/working-copy.ts';

const run = promisify(execFile);
const limit = 1_800_000;

interface Build {
  readonly archive: { readonly path: string; readonly files: number; readonly size: number };
}

describe('an archive of a build', { timeout: 2 * limit }, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let archive: string;
  let copy: string;
  let first: Build;

  before(async () => {
    folder = await temporaryFolder();
    archive = join(folder.path, 'release.tar');
    first = await mblJson<Build>(['build', '--archive', archive], { timeout: limit });
    copy = join(folder.path, 'copy');
    // What a clone has: no dependencies.
    await copyWorkingCopy(copy, { dependencies: false });
    await cp(join(findWorkspace().state, 'keys'), join(copy, '.mbl', 'keys'), { recursive: true });
  });
  after(async () => await folder[Symbol.asyncDispose]());

  /** Runs `./mbl build` in the copy, for a user who has nothing yet, where there is no network but the loopback of its own. */
  async function buildUnplugged(...options: string[]): Promise<MblResult> {
    const user = process.getuid?.() === 0 ? [] : ['--map-root-user'];
    const environment: NodeJS.ProcessEnv = { ...process.env, HOME: join(folder.path, 'home') };
    for (const name of ['MBL_STATE', 'MBL_CACHE', 'XDG_CACHE_HOME']) delete environment[name];
    const command = ['--net', ...user, './mbl', 'build', ...options];
    return await finish(spawn('unshare', command, { cwd: copy, env: environment }), limit);
  }

  test('is the same file when it is written again', async () => {
    const again = join(folder.path, 'again.tar');
    await mblJson<Build>(['build', '--archive', again], { timeout: limit });
    assert.equal(await fileDigest(again), await fileDigest(archive));
    const { stdout } = await run('tar', ['-tf', archive], { maxBuffer: 1 << 26 });
    assert.equal(stdout.trim().split('\n').length, first.archive.files + 1, 'and its manifest');
  });

  test('that is cut off, or made for another image, is refused', async () => {
    assertError(
      await buildUnplugged('--from-archive', archive, '--image', 'production'),
      'builder/archive-mismatch',
      /qemu-arm64-development and has no lock trixie\/root-production/,
    );
    const short = join(folder.path, 'short.tar');
    await cp(archive, short);
    await truncate(short, first.archive.size - 1024);
    assertError(await buildUnplugged('--from-archive', short), 'builder/archive-invalid', /cut off/);
  });

  test('a lock with the U-Boot whose FIT signatures can be passed by is refused with the name of the advisory', async () => {
    const path = join(copy, 'os/locks/firmware.json');
    const before = await readFile(path, 'utf8');
    const older = before.replace(/("name":"u-boot","version":)"[^"]*"/, '$1"2025.01-3.1"');
    assert.notEqual(older, before);
    await writeFile(path, older);
    const command = ['packages/cli/src/main.ts', 'build'];
    const result = await finish(spawn('node_modules/.bin/node', command, { cwd: copy }), limit);
    assertError(result, 'builder/vulnerable-source', /CVE-2026-46728/);
    await writeFile(path, before);
  });
});
