// SPDX-License-Identifier: Apache-2.0
//
// A build is what its inputs are, not what its host is. From one archive, the network off and the cache empty, the same repository, locks
// and keys give the same files on Debian 12 as root and on Debian 13 as a user, where there is no compiler, dtc, mkimage or Python, as on
// this machine. The user has another time zone, language and umask, a long path in another repository, an environment full of settings for
// compilers, and interrupts the build while a compiler runs. Of the two programs that take minutes to compile OP-TEE
// is this machine's on both, U-Boot on Debian 12; `MBL_HOSTS_SPARE=none` compiles them, as before a release.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chown, cp, link, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { findWorkspace } from '@mbl/cli';
import { type BareSystem, makeBareSystem, type StartOptions } from './support/bare-system.ts';
import { finish, mblJson, type MblResult, temporaryFolder } from './support/mbl.ts';
import { processesOf } from './support/processes.ts';
import { copyWorkingCopy, fileDigest } from './support/working-copy.ts';
import { until } from './support/world.ts';

interface Build {
  readonly directory: string;
  readonly buildId: string;
  readonly tasks: readonly { readonly task: string; readonly cached: boolean; readonly folder: string }[];
}

const run = promisify(execFile);
const names = (tasks: Build['tasks']): string[] => tasks.map(({ task }) => task);
const limit = 1_800_000;
/** The tasks that are not run on another host. */
const spared =
  process.env['MBL_HOSTS_SPARE'] === 'none'
    ? { bookworm: [], trixie: [] }
    : { bookworm: ['u-boot', 'optee'], trixie: ['optee'] };
const skip = process.getuid?.() === 0 ? false : 'only root makes and enters another system';

describe('a build on other hosts', { timeout: 3 * limit, skip }, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let archive: string;
  let first: Build;

  before(async () => {
    folder = await temporaryFolder();
    archive = join(folder.path, 'release.tar');
    first = await mblJson<Build>(['build', '--archive', archive], { timeout: limit });
  });
  after(async () => await folder[Symbol.asyncDispose]());

  /** Puts a clone of the repository with the working copy's keys into a system, and the archive beside it; all are the user's. */
  async function moveIn(system: BareSystem, { user, cwd }: StartOptions): Promise<void> {
    const copy = join(system.path, cwd);
    await copyWorkingCopy(copy, { dependencies: false });
    await cp(join(findWorkspace().state, 'keys'), join(copy, '.mbl', 'keys'), { recursive: true });
    const target = join(copy, '..', 'release.tar');
    await link(archive, target).catch(async () => await cp(archive, target));
    await run('chown', ['-R', `${user}:${user}`, join(copy, '..')]);
  }

  /** Puts the outputs of tasks into the cache of a system's user; gives the tasks. */
  async function spare(
    system: BareSystem,
    { user }: StartOptions,
    home: string,
    tasks: readonly string[],
  ): Promise<readonly string[]> {
    const cache = join(system.path, home, '.cache/mbl');
    for (const { task, folder: output } of first.tasks)
      if (tasks.includes(task))
        await cp(dirname(output), join(cache, 'tasks', basename(dirname(output))), { recursive: true });
    await run('chown', ['-R', `${user}:${user}`, join(system.path, home, '.cache')]);
    return tasks;
  }

  async function says(system: BareSystem, script: string): Promise<string> {
    const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    const options = { user: 0, cwd: '/', environment: { PATH: path } };
    const { code, stdout, stderr } = await finish(system.start(['sh', '-c', script], options), 60_000);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  /** Asserts that a system is the one that is meant, and has nothing that a build could take from it. */
  async function assertBare(system: BareSystem, suite: string): Promise<void> {
    assert.match(await says(system, 'cat /etc/os-release'), new RegExp(`VERSION_CODENAME=${suite}\\b`));
    const looking = (names: string): string => `for name in ${names}; do command -v $name; done; true`;
    const taken = 'cc gcc g++ aarch64-linux-gnu-gcc make bison flex m4 swig dtc mkimage python3 git';
    assert.equal(await says(system, looking(`${taken} mkfs.erofs sgdisk depmod zstd node npm`)), '');
    assert.notEqual(await says(system, looking('tar xz')), '', 'the check sees what is there');
    assert.doesNotMatch(await says(system, 'cat /proc/net/route'), /^(?!Iface)\S/m, 'no network');
  }

  async function assertSame(system: BareSystem, { code, stdout, stderr }: MblResult): Promise<Build> {
    assert.equal(code, 0, stderr);
    const second = JSON.parse(stdout) as Build;
    assert.equal(second.buildId, first.buildId);
    const directory = join(system.path, second.directory);
    const files = await readdir(first.directory);
    assert.deepEqual((await readdir(directory)).toSorted(), files.toSorted());
    for (const file of ['flash.bin', 'disk.img', 'image.json']) assert.ok(files.includes(file), file);
    for (const file of files) {
      const [one, two] = [join(first.directory, file), join(directory, file)];
      assert.equal(await fileDigest(two), await fileDigest(one), `${file}: compare ${one} and ${two}`);
    }
    return second;
  }

  test('gives the same bytes on Debian 12, as root', async () => {
    await using system = await makeBareSystem('bookworm');
    await assertBare(system, 'bookworm');
    const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' };
    const options = { user: 0, cwd: '/root/mbl', environment };
    await moveIn(system, options);
    const taken = await spare(system, options, '/root', spared.bookworm);
    const command = ['./mbl', 'build', '--from-archive', '../release.tar', '--json'];
    const { tasks } = await assertSame(system, await finish(system.start(command, options), limit));
    const cached = tasks.filter((task) => task.cached);
    assert.deepEqual(names(cached).toSorted(), taken.toSorted());
  });

  test('gives the same bytes on Debian 13, as a user with habits, after an interruption', async () => {
    await using system = await makeBareSystem('trixie');
    await assertBare(system, 'trixie');
    const home = `/home/${'somebody-with-a-very-long-name-'.repeat(7)}`;
    const environment = {
      PATH: '/usr/bin:/bin',
      HOME: home,
      USER: 'somebody-else',
      TZ: 'Asia/Kathmandu',
      LC_ALL: 'tr_TR.UTF-8',
      LANG: 'tr_TR.UTF-8',
      SOURCE_DATE_EPOCH: '1',
      CC: 'false',
      CFLAGS: '-O0',
      MAKEFLAGS: '--dry-run',
      PYTHONHOME: '/nonexistent',
      PERL5LIB: '/nonexistent',
      LD_LIBRARY_PATH: '/nonexistent',
      GCC_EXEC_PREFIX: '/nonexistent/',
    };
    const options = { user: 12_345, cwd: `${home}/my projects/mbl`, environment };
    await moveIn(system, options);
    const inside = join(system.path, home);
    // A source's build that asks git for its revision would find this one's.
    await run('git', ['init', '-q', inside]);
    const author = ['-c', 'user.name=Somebody', '-c', 'user.email=somebody@example.org'];
    await run('git', ['-C', inside, ...author, 'commit', '-q', '--allow-empty', '-m', 'Another history']);
    await chown(inside, options.user, options.user);
    const taken = await spare(system, options, home, spared.trixie);
    const build = (...more: string[]) => {
      const command = ['./mbl', 'build', '--from-archive', '../release.tar', ...more];
      return system.start(['sh', '-c', 'umask 077; exec "$@"', 'sh', ...command], options);
    };

    const child = build();
    let said = '';
    child.stderr?.on('data', (piece: Buffer) => (said += piece.toString()));
    const interrupted = finish(child, limit);
    // Without --json it tells what it does.
    await until('a compiler runs', async () => /: compiling/.test(said) || child.exitCode !== null, limit);
    // As at a terminal: the whole group hears of it.
    process.kill(-(child.pid ?? 0), 'SIGINT');
    const { code, stderr } = await interrupted;
    assert.equal(code, 130, stderr);
    assert.deepEqual(await readdir(join(system.path, options.cwd, 'build')).catch(() => []), []);
    assert.deepEqual(await processesOf(home), [], 'the compilers ended too');

    const { tasks } = await assertSame(system, await finish(build('--json'), limit));
    for (const name of ['u-boot', 'optee', 'flash', 'root', 'fit'].filter((one) => !taken.includes(one)))
      assert.ok(!tasks.find(({ task }) => task === name)?.cached, `${name} was built here`);
  });
});
