// SPDX-License-Identifier: Apache-2.0
//
// The mirrors are a convenience: a second build needs no network, and what is missing, damaged or gone is told by name.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { findWorkspace } from '@mbl/cli';
import { assertError, finish, mbl, mblJson, type MblResult, root, temporaryFolder } from './support/mbl.ts';
import { copyWorkingCopy, fileDigest } from './support/working-copy.ts';

const run = promisify(execFile);
const limit = 1_800_000;

interface Build {
  readonly directory: string;
  readonly buildId: string;
  readonly tasks: readonly { readonly task: string; readonly cached: boolean }[];
}

interface Package {
  name: string;
  version: string;
  path: string;
  sha256: string;
}

describe('building without the network', { timeout: 2 * limit }, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let state: string;
  let cache: string;
  let copy: string;
  let lockFile: string;
  let environment: Record<string, string>;
  let first: Build;

  before(async () => {
    first = await mblJson<Build>(['build'], { timeout: limit });
    folder = await temporaryFolder();
    state = join(folder.path, 'state');
    cache = join(folder.path, 'cache');
    environment = { MBL_STATE: state, MBL_CACHE: cache };
    const own = findWorkspace();
    await cp(join(own.state, 'keys'), join(state, 'keys'), { recursive: true });
    // The locks are in the repository: what spoils them here, spoils a copy.
    copy = join(folder.path, 'copy');
    await copyWorkingCopy(copy);
    lockFile = join(copy, 'os/locks/trixie/root-development.json');
    // The downloads, and of the outputs only the firmware: tests/hosts.story.ts compiles it again.
    for (const name of ['apt', 'downloads', 'npm']) await linkTree(join(own.cache, name), join(cache, name));
    // Its programs know where it stands.
    await symlink(join(own.cache, 'toolbox'), join(cache, 'toolbox'));
    for (const task of await readdir(join(own.cache, 'tasks')))
      if (/^(u-boot|optee|trusted-firmware)-/.test(task))
        await linkTree(join(own.cache, 'tasks', task), join(cache, 'tasks', task));
  });
  after(async () => await folder[Symbol.asyncDispose]());

  /** Runs `mbl build` in the copy. */
  async function buildInCopy(...options: string[]): Promise<MblResult> {
    const command = ['node_modules/.bin/node', 'packages/cli/src/main.ts', 'build', ...options];
    const child = spawn('env', command, { cwd: copy, env: { ...process.env, ...environment } });
    return await finish(child, limit);
  }

  /** Runs `./mbl build` where there is no network at all but the loopback of its own. */
  async function buildUnplugged(): Promise<MblResult> {
    const user = process.getuid?.() === 0 ? [] : ['--map-root-user'];
    const command = ['unshare', ...user, '--net', './mbl', 'build', '--json'];
    const child = spawn('env', command, { cwd: root, env: { ...process.env, ...environment } });
    return await finish(child, limit);
  }

  async function findLocked(name: string): Promise<Package & { readonly file: string }> {
    const lock = await readLock();
    const found = lock.packages.find((each) => each.name === name);
    assert.ok(found !== undefined, `${name} is locked`);
    return { ...found, file: join(cache, 'downloads', found.sha256.slice(0, 2), found.sha256) };
  }

  async function readLock(): Promise<{ packages: Package[] }> {
    return JSON.parse(await readFile(lockFile, 'utf8')) as { packages: Package[] };
  }

  const dropPackages = async () => {
    for (const store of [join(cache, 'tasks'), join(state, 'build-cache', 'tasks')])
      for (const task of await readdir(store).catch(() => []))
        if (task.startsWith('packages-')) await rm(join(store, task), { recursive: true });
  };

  test('a second build has all it needs', async () => {
    const { code, stdout, stderr } = await buildUnplugged();
    assert.equal(code, 0, stderr);
    const second = JSON.parse(stdout) as Build;
    assert.deepEqual(
      second.tasks.filter(({ task, cached }) => !cached && /^(packages|kernel|root|fit)$/.test(task)).length,
      4,
      'what comes from the mirror was made again',
    );
    assert.equal(second.buildId, first.buildId);
    const disk = (build: Build) => fileDigest(join(build.directory, 'disk.img'));
    assert.equal(await disk(second), await disk(first));
  });

  test('a damaged download is named when it cannot be fetched, and fetched when it can', async () => {
    const { file, sha256 } = await findLocked('kmod');
    const bytes = await readFile(file);
    await dropPackages();
    // A new file: the old one is shared with the working copy's cache.
    await rm(file);
    await writeFile(file, bytes.fill(0, bytes.length >> 1, (bytes.length >> 1) + 1).subarray(0, -1));
    const unplugged = await buildUnplugged();
    assertJsonError(unplugged, /^builder\/(no-network|download-missing)$/, /mirror cannot be reached|kmod/);
    const { code, stderr } = await mbl(['build'], { environment, timeout: limit });
    assert.equal(code, 0, stderr);
    assert.equal(await fileDigest(file), sha256);
  });

  test('a locked version that the mirror has no more: named, with the command that takes the new one', async () => {
    const before = await readFile(lockFile, 'utf8');
    const lock = await readLock();
    const gone = lock.packages.find(({ name }) => name === 'kmod');
    assert.ok(gone !== undefined);
    gone.path = gone.path.replace(/kmod_[^/]*_/, 'kmod_1-1_');
    gone.version = '1-1';
    gone.sha256 = 'ab'.repeat(32);
    await writeFile(lockFile, `${JSON.stringify(lock, undefined, 2)}\n`);
    assertError(
      await buildInCopy(),
      'builder/download-missing',
      /kmod_1-1_[\s\S]*mbl build --update-lock[\s\S]*MBL_DEBIAN_SNAPSHOT[\s\S]*--from-archive/,
    );
    const { code, stdout, stderr } = await buildInCopy('--update-lock', '--json');
    assert.equal(code, 0, stderr);
    const { lockChanges } = JSON.parse(stdout) as { lockChanges: unknown[] };
    assert.ok(
      lockChanges.some((change) => JSON.stringify(change).includes('"1-1"')),
      JSON.stringify(lockChanges),
    );
    assert.doesNotMatch(await readFile(lockFile, 'utf8'), /kmod_1-1_/);
    await writeFile(lockFile, before);
  });

  test('a damaged lock file is named', async () => {
    const before = await readFile(lockFile, 'utf8');
    await writeFile(lockFile, before.slice(0, before.length >> 1));
    assertError(await buildInCopy(), 'builder/[a-z-]+', /root-development\.json/);
    await writeFile(lockFile, before);
  });

  test('a disk that is full when the image is put together: one error, no half image, and the next build is well', async (t) => {
    const small = join(folder.path, 'small');
    await mkdir(small);
    const script =
      'mount --make-rprivate / 2>/dev/null; mount -t tmpfs -o size=24m none "$1" && cp -r "$2/keys" "$1" && ' +
      'MBL_STATE="$1" ./mbl build; code=$?; ls -A "$1/build" 2>/dev/null >&2; umount "$1"; exit $code';
    const user = process.getuid?.() === 0 ? [] : ['--map-root-user'];
    // In a plain chroot / is no mount point whose propagation could be changed.
    const namespace = ['unshare', ...user, '--mount', '--propagation', 'unchanged'];
    const command = [...namespace, 'sh', '-c', script, 'sh', small, state];
    const result = await finish(
      spawn('env', command, { cwd: root, env: { ...process.env, ...environment } }),
      limit,
    );
    if (/unshare failed|mount: .*permission denied/i.test(result.stderr))
      return t.skip('no mount namespaces here');
    assertError(result, '(?:builder|cli)/disk-full', /space/);
    assert.doesNotMatch(result.stderr, /^qemu-arm64-development/m, 'nothing half-written');
    const { code, stderr } = await mbl(['build'], { environment, timeout: limit });
    assert.equal(code, 0, stderr);
  });
});

/** Asserts what a failed command with `--json` prints: one object with code, message and remedy. */
function assertJsonError({ code, stdout, stderr }: MblResult, expected: RegExp, message: RegExp): void {
  assert.equal(code, 1, stdout + stderr);
  const line = `${stdout}\n${stderr}`.split('\n').find((text) => text.startsWith('{"error"')) ?? '';
  const { error } = JSON.parse(line) as { error: { code: string; message: string; remedy: string } };
  assert.match(error.code, expected);
  assert.match(error.message, message);
  assert.ok(error.remedy.length > 0);
}

/** Copies a folder without its content where the file system allows it: hard links. */
async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(join(to, '..'), { recursive: true });
  await run('cp', ['-al', from, to]).catch(async () => {
    await rm(to, { recursive: true, force: true });
    await run('cp', ['-a', from, to]);
  });
}
