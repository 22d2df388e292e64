// SPDX-License-Identifier: Apache-2.0
//
// What a person does wrong, and what a machine lacks: one clear error with what to do, exit code 1, nothing half-written; and Ctrl-C at
// any time leaves a state from which the next run continues.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { findWorkspace } from '@mbl/cli';
import { assertError, finish, mbl, mblJson, root, startMbl } from './support/mbl.ts';
import { until } from './support/world.ts';

const run = promisify(execFile);
const minute = 60_000;

let folder = '';
let state = '';
let environment: Record<string, string> = {};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mbl-bad-input-'));
  state = join(folder, 'state');
  environment = { MBL_STATE: state, MBL_CACHE: findWorkspace().cache };
  // The keys of the working copy where it has some: OP-TEE compiled for them is in the cache.
  await cp(join(findWorkspace().state, 'keys'), join(state, 'keys'), { recursive: true }).catch(
    async () => await mbl(['keys', 'init'], { environment }),
  );
});
after(async () => await rm(folder, { recursive: true, force: true }));

/** Nothing that looks like an image, whole or half. */
async function assertNothingBuilt(): Promise<void> {
  assert.deepEqual(await readdir(join(state, 'build')).catch(() => []), []);
}

test('an unknown machine and an unknown image: the nearest names are offered', async () => {
  assertError(
    await mbl(['build', '--machine', 'qemu-arm46'], { environment }),
    'builder/unknown-machine',
    /qemu-arm46[\s\S]*qemu-arm64/,
  );
  assertError(
    await mbl(['build', '--image', 'develpment'], { environment }),
    'builder/unknown-image',
    /develpment[\s\S]*development/,
  );
  await assertNothingBuilt();
});

test('an error in a layer names file and line', async () => {
  const layer = join(folder, 'layer');
  await mkdir(join(layer, 'images'), { recursive: true });
  const write = async (image: string) => {
    await writeFile(join(layer, 'layer.yaml'), 'name: my-product\nimages: images\n');
    await writeFile(join(layer, 'images/mine.yaml'), image);
  };
  const build = async () =>
    await mbl(['build', '--layer', layer, '--image', 'mine'], { environment, timeout: 5 * minute });
  await write('extends: production\ntitle: Mine\npakages:\n  - tzdata\n');
  assertError(await build(), 'formats/bad-recipe', /mine\.yaml:3:1/);
  await write('extends: production\ntitle: [\n');
  assertError(await build(), 'formats/bad-recipe', /mine\.yaml:\d+:\d+/);
  await write('extends: production\ntitle: Mine\npackages:\n  - no-such-package-anywhere\n');
  assertError(await build(), 'builder/unknown-package', /no-such-package-anywhere/);
  assertError(
    await mbl(['build', '--layer', join(folder, 'nowhere')], { environment }),
    'builder/missing-layer',
    /nowhere/,
  );
  await assertNothingBuilt();
});

test('no keys, damaged keys, another key than the index says', async () => {
  const build = async (keys: string) => await mbl(['build', '--keys', keys], { environment });
  assertError(await build(join(folder, 'no-keys')), 'keys/missing', /no key set/);
  const damaged = join(folder, 'damaged-keys');
  await cp(join(state, 'keys'), damaged, { recursive: true });
  await writeFile(join(damaged, 'fit.key'), 'not a key');
  assertError(await build(damaged), 'keys/bad-key', /fit\.key/);
  await rm(join(damaged, 'fit.key'));
  assertError(await build(damaged), 'keys/missing-key', /fit\.key/);
  await writeFile(join(damaged, 'keys.json'), '{');
  assertError(await build(damaged), 'keys/bad-index', /keys\.json/);
  await assertNothingBuilt();
});

test('no network and nothing downloaded before', async () => {
  const cut = {
    ...environment,
    MBL_CACHE: join(folder, 'empty-cache'),
    MBL_DEBIAN_MIRROR: 'http://127.0.0.1:9/debian',
  };
  const result = await mbl(['build'], { environment: cut, timeout: 5 * minute });
  assert.equal(result.code, 1, result.stderr);
  assert.match(result.stderr, /^error \[builder\/(no-network|download-missing)\] /m);
  assert.match(result.stderr, /network/);
  await assertNothingBuilt();
});

test('a missing tool', async () => {
  // Everything that a usual PATH has, but no SSH and no xz.
  const tools = join(folder, 'tools');
  await mkdir(tools);
  const hidden = /^(ssh|xz)$/;
  for (const from of ['/usr/bin', '/bin', '/usr/sbin', '/sbin']) {
    for (const name of await readdir(from)) {
      if (!hidden.test(name)) await symlink(join(from, name), join(tools, name)).catch(() => {});
    }
  }
  const main = join(root, 'packages/cli/src/main.ts');
  const { code, stdout } = await run(process.execPath, [main, 'doctor'], {
    env: { ...process.env, ...environment, PATH: tools },
  }).then(
    ({ stdout: text }) => ({ code: 0, stdout: text }),
    (error: { code: number; stdout: string }) => error,
  );
  assert.equal(code, 1);
  assert.match(stdout, /✘ ssh: not found\n +Install it: apt-get install .*openssh-client/);
  assert.match(stdout, /✘ xz: not found\n +Install it: apt-get install .*xz-utils/);
});

test('a full disk', async (t) => {
  const disk = join(folder, 'disk');
  await mkdir(disk);
  const script = `mount --make-rprivate / 2>/dev/null; mount -t tmpfs -o size=64k none "$1" && MBL_STATE="$1/state" ./mbl keys init; code=$?; umount "$1"; exit $code`;
  const full = await finish(startWithMounts(script, disk), minute);
  if (/unshare|permission denied|only root/i.test(full.stderr) && !full.stderr.includes('['))
    return t.skip('no mount namespaces here');
  assertError(full, '[a-z]+/disk-full', /space/);
});

function startWithMounts(script: string, disk: string) {
  const user = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  // In a plain chroot / is no mount point whose propagation could be changed.
  const namespace = ['--mount', '--propagation', 'unchanged'];
  return startCommand('unshare', [...user, ...namespace, 'sh', '-c', script, 'sh', disk]);
}

function startCommand(command: string, args: readonly string[]) {
  return execFile(command, args, { cwd: root, env: { ...process.env, ...environment } });
}

test('damaged state', async () => {
  const service = join(state, 'service');
  await mkdir(service, { recursive: true });
  await writeFile(join(service, 'service.json'), '{"version": 1');
  assertError(await mbl(['status'], { environment }), 'formats/bad-service-file', /service\.json/);
  await rm(join(service, 'service.json'));
  await writeFile(join(service, 'ports.json'), '[]');
  assertError(await mbl(['doctor'], { environment }), 'cli/state-damaged', /ports\.json/);
  await rm(service, { recursive: true });
});

test('Ctrl-C during a build: exit code 130, and the next build finishes it; a damaged cache is mended', {
  timeout: 40 * minute,
}, async (t) => {
  // An image of its own, so that there is something to do, and little.
  const layer = join(folder, 'interrupted');
  await mkdir(join(layer, 'images'), { recursive: true });
  await writeFile(join(layer, 'layer.yaml'), 'name: interrupted\nimages: images\n');
  const name = `host-${Date.now()}`;
  const image = `extends: development\ntitle: Interrupted\nhostname: ${name}\n`;
  await writeFile(join(layer, 'images/interrupted.yaml'), image);
  const words = ['build', '--layer', layer, '--image', 'interrupted'];
  await t.test('interrupted', async () => {
    const staging = join(environment['MBL_CACHE'] ?? '', 'staging');
    const makesRoot = async () =>
      (await readdir(staging).catch(() => [])).some((task) => /^root-(base-)?[0-9a-f]{16}$/.test(task));
    const child = startMbl(words, { environment });
    const ended = finish(child, 5 * minute);
    await until('a root is made', async () => (await makesRoot()) || child.exitCode !== null, minute);
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /interrupted/);
    assert.deepEqual(await readdir(join(state, 'build')).catch(() => []), []);
  });
  type Build = {
    directory: string;
    buildId: string;
    tasks: { task: string; cached: boolean; folder: string }[];
  };
  let first: Build | undefined;
  await t.test('continued', async () => {
    first = await mblJson<Build>(words, { environment, timeout: 20 * minute });
    assert.deepEqual(
      (await readdir(first.directory)).filter((name) => name.includes('partial')),
      [],
    );
    assert.ok((await stat(join(first.directory, 'disk.img'))).size > 0);
  });
  await t.test('and nothing is left to do', async () => {
    const again = await mblJson<Build>(words, { environment, timeout: 5 * minute });
    assert.equal(again.buildId, first?.buildId);
    assert.deepEqual(
      again.tasks.filter(({ cached }) => !cached),
      [],
    );
  });
  await t.test('a flipped byte in a cached output', async () => {
    const fit = first?.tasks.find(({ task }) => task === 'fit');
    assert.ok(fit !== undefined);
    const file = join(fit.folder, 'fit.itb');
    const before = await readFile(file);
    await using handle = await open(file, 'r+');
    await handle.write(Buffer.from([(before[before.length >> 1] ?? 0) ^ 1]), 0, 1, before.length >> 1);
    await handle.close();
    const mended = await mblJson<Build>(words, { environment, timeout: 5 * minute });
    assert.equal(mended.buildId, first?.buildId);
    assert.ok(
      mended.tasks.some(({ task, cached }) => task === 'fit' && !cached),
      'the FIT is built again',
    );
    assert.ok(before.equals(await readFile(file)));
  });
});
