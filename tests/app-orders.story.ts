// SPDX-License-Identifier: Apache-2.0
//
// Apps from the desk to a device, by the commands of a person: pushed, deployed, looked at, rolled back, removed. The device is simulated: what runs apps on
// a board has stories of its own.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { findWorkspace, startDaemon, stopDaemon } from '@mbl/cli';
import type { AppAnswer, AppAsk, ServiceFile } from '@mbl/formats';
import { type AppDevice, appDevice } from './support/app-device.ts';
import { hostDevice } from './support/host-device.ts';
import { assertError, finish, mbl, mblJson, startMbl, temporaryFolder } from './support/mbl.ts';
import { until } from './support/world.ts';

const patienceMs = 60_000;
const log = ['on', 'it is \u001b[2Jcold', 'off'].map((text, i) => ({ time: 1_800_000_000_000 + i, text }));

function answer({ action, cursor, command, name }: AppAsk): Omit<AppAnswer, 'id'> {
  if (action === 'run')
    return { error: '', exit: command?.[0] === '/bin/false' ? 3 : 0, output: `${command?.join('|')}\n` };
  if (action === 'stop') return { error: `${name} is stopped already` };
  if (action !== 'log') return { error: '' };
  const from = cursor === undefined ? 0 : Number(cursor);
  return { error: '', cursor: String(log.length), log: log.slice(from) };
}

describe('apps on a device', () => {
  const stack = new AsyncDisposableStack();
  let environment: Record<string, string>;
  let file: ServiceFile;
  let device: AppDevice;
  let source: string;
  before(async () => {
    const folder = stack.use(await temporaryFolder());
    environment = { MBL_STATE: join(folder.path, 'state') };
    const workspace = findWorkspace(environment);
    await mblJson(['keys', 'init'], { environment });
    ({ file } = await startDaemon(workspace, { signal: AbortSignal.timeout(90_000) }));
    stack.defer(async () => void (await stopDaemon(workspace, AbortSignal.timeout(60_000))));
    const { code } = await mblJson<{ code: string }>(['device', 'enrol', 'board-a'], { environment });
    const host = stack.use(await hostDevice(join(folder.path, 'board-a'), file, 'board-a', code));
    await host.run(async () => {
      await until('board-a registered', async () => host.says(/^registered /), patienceMs);
    });
    const identity = join(folder.path, 'board-a', 'identity');
    device = stack.use(await appDevice('board-a', identity, file, { sensor: 'weather' }, answer));
    source = join(folder.path, 'sensor');
    await mkdir(join(source, 'root'), { recursive: true });
    // The first bytes of a program for arm64.
    const program = Buffer.alloc(64);
    program.write('\u007fELF\u0002\u0001\u0001', 0, 'latin1');
    program.writeUInt16LE(183, 18);
    await writeFile(join(source, 'root/sensor'), program, { mode: 0o755 });
    await version('1.0');
  });
  after(async () => await stack.disposeAsync());

  const version = async (text: string) =>
    await writeFile(
      join(source, 'app.yaml'),
      `name: sensor\nversion: "${text}"\nsource: { root: root }\ncommand: [/sensor]\n`,
    );
  const app = (...words: string[]) => mbl(['app', ...words], { environment });
  const push = async (...words: string[]) =>
    await mblJson<{ release: string; newKey: string | null }>(
      ['app', 'push', source, '--team', 'weather', ...words],
      {
        environment,
      },
    );

  test('are pushed: the team gets a key with the first, the same apps are the same release', async () => {
    assertError(await app('deploy', 'weather', '1.0'), 'cli/no-such-release', /no release 1\.0 of weather/);
    assert.match((await app('list')).stdout, /No apps on any device yet.*mbl app new/);
    const first = await push();
    assert.match(first.release, /^1\.0-[0-9a-f]{8}$/);
    assert.match(await readFile(first.newKey ?? '', 'utf8'), /PRIVATE KEY/);
    assert.deepEqual(await push(), { ...first, newKey: null });
    await version('1.1');
    assert.equal((await push('--release', '1.1')).release, '1.1');
    assert.equal((await push('--release', '1.1')).release, '1.1', 'twice is once');
    await version('1.2');
    await writeFile(join(source, 'root/more'), 'x');
    const taken = ['push', source, '--team', 'weather', '--release', '1.1'];
    assertError(await app(...taken), 'cli/release-taken', /1\.1 with other apps/);
    const shown = await mbl(['release', 'verify', '--team', 'weather', '--release', '1.1'], { environment });
    assert.match(shown.stdout, /^weather 1\.1 for arm64: a board with development keys would install it/m);
  });

  test('are deployed and followed until they run, or went back', async () => {
    const deployed = await app('deploy', 'weather', '1.1', '--to', 'board-a');
    assert.equal(deployed.code, 0, deployed.stderr);
    assert.match(deployed.stdout, /^board-a runs weather 1\.1$/m);
    assert.deepEqual(device.desired, [{ team: 'weather', release: '1.1' }]);
    await push('--release', '1.2');
    device.bad = '1.2';
    // The only device need not be named.
    const bad = await app('deploy', 'weather', '1.2');
    assertError(
      bad,
      'cli/apps-failed',
      /does not run weather 1\.2: the check .* ended with 3 \[app\/unhealthy\]/,
    );
    device.bad = '';
    const next = await app('deploy', 'weather', '1.1', '--no-wait');
    assert.match(next.stdout, /^board-a is to have weather 1\.1$/m);
    await until('it is told', async () => device.desired[0]?.release === '1.1', patienceMs);
  });

  test('one that needs a newer operating system waits, says so, and gives way to another order', async () => {
    device.early = '1.2';
    assert.equal((await app('deploy', 'weather', '1.2', '--no-wait')).code, 0);
    const waits = /^weather +1\.2 +- +waits +app\/needs-os +sensor needs version 2\.0 .*, and 1\.0 runs$/m;
    await until('it waits', async () => waits.test((await app('list', 'board-a')).stdout), patienceMs);
    device.early = '';
    assert.equal((await app('deploy', 'weather', '1.1')).code, 0);
  });

  test('are listed: of a device, of all', async () => {
    const list = async (...words: string[]) => (await app('list', ...words)).stdout;
    await until(
      'it runs',
      async () => /^weather +1\.1 +1\.1 +running/m.test(await list('board-a')),
      patienceMs,
    );
    assert.match(await list('board-a'), /^sensor +1\.0 +weather +running +.* ago +2 +4\.0 MiB$/m);
    assert.match(await list(), /^sensor +1\.0 +weather +1 +1 +0 +.*board-a$/m);
    type Shown = { releases: { team: string; running: string }[]; apps: { name: string }[] };
    const { releases, apps } = await mblJson<Shown>(['app', 'list', 'board-a'], { environment });
    assert.deepEqual([releases[0]?.running, apps[0]?.name], ['1.1', 'sensor']);
    const { stdout } = await mbl(['device', 'events', 'board-a'], { environment });
    assert.match(stdout, /device\.apps-running +The apps of weather 1\.1 run$/m);
    assert.match(
      stdout,
      /device\.apps-fell-back +Went back from weather 1\.2 to none of its apps: the check/m,
    );
  });

  test('are asked: log, program, restart, rollback', async () => {
    const logs = await app('logs', 'sensor', '-n', '20');
    assert.match(logs.stdout, /^2027-01-15T08:00:00\.000Z {2}on$/m);
    assert.ok(!logs.stdout.includes('\u001b'), 'nothing of an app moves the cursor');
    const child = startMbl(['app', 'logs', 'sensor', '--on', 'board-a', '-f', '--json'], { environment });
    let seen = '';
    child.stdout?.on('data', (data: Buffer) => (seen += data.toString()));
    await until('three lines', async () => seen.split('\n').length === 4, patienceMs);
    log.push({ time: 1_800_000_000_009, text: 'and on' });
    await until('one more', async () => /"text":"and on"/.test(seen), patienceMs);
    child.kill('SIGINT');
    assert.equal((await finish(child, patienceMs)).code, 130);
    assert.equal(seen.split('\n').length, 5, 'each line once');

    const run = await app('run', 'sensor', '--on', 'board-a', '--', '/bin/false', '--json', 'a b');
    assert.deepEqual([run.code, run.stdout], [3, '/bin/false|--json|a b\n']);
    assertError(await app('run', 'sensor'), 'cli/no-command', /which program/);
    assert.match((await app('restart', 'sensor')).stdout, /^sensor is started again on board-a$/m);
    assert.match(
      (await app('rollback', 'weather')).stdout,
      /^weather is back at the release before on board-a$/m,
    );
    assertError(await app('stop', 'sensor'), 'cli/app-refused', /sensor is stopped already/);
    assert.deepEqual(
      device.asks.slice(-3).map(({ action, name }) => `${action} ${name}`),
      ['restart sensor', 'rollback weather', 'stop sensor'],
    );
    assert.equal((await app('restart', 'Sensor')).code, 2);
  });

  test('a group gets them, and who is removed from it loses them', async () => {
    const group = (...words: string[]) => mbl(['group', ...words], { environment });
    await group('create', 'lab');
    assertError(
      await app('deploy', 'weather', '1.2', '--group', 'lab'),
      'cli/empty-group',
      /for those to come/,
    );
    await group('add', 'lab', 'board-a');
    assert.deepEqual(device.desired, [{ team: 'weather', release: '1.1' }], 'its own holds');
    const removed = await app('remove', 'weather', '--from', 'board-a');
    assert.match(removed.stdout, /^board-a is to have weather 1\.2, as a group of it is$/m);
    const followed = await app('deploy', 'weather', '1.2', '--group', 'lab');
    assert.equal(followed.code, 0, followed.stderr);
    assert.match(followed.stdout, /^lab: 1 running$/m);
    assert.match((await app('list', '--group', 'lab')).stdout, /^weather +1\.2 +1 +1 running$/m);
    assert.match(
      (await app('remove', 'weather', '--group', 'lab')).stdout,
      /need not have weather 1\.2 any more/,
    );
    await until('it has none', async () => device.desired.length === 0, patienceMs);
    assert.match(
      (await app('remove', 'weather', '--from', 'board-a')).stdout,
      /is to have no apps of weather/,
    );
  });

  test('one that is worked on is built, run and shown again with each change', async () => {
    const child = startMbl(['app', 'dev', source, '--team', 'weather'], { environment });
    let out = '';
    let said = '';
    child.stdout?.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr?.on('data', (data: Buffer) => (said += data.toString()));
    const release = () => device.desired.find(({ team }) => team === 'weather')?.release;
    try {
      await until('its log', async () => / {2}and on$/m.test(out), patienceMs);
      const first = release();
      assert.match(first ?? '', /^dev-[0-9a-f]{12}$/);
      await writeFile(join(source, 'app.yaml'), 'name: [');
      await until(
        'the mistake',
        async () => /formats\/bad-recipe[^]*Waits for the next change/.test(said),
        patienceMs,
      );
      await version('1.3');
      await until('the next', async () => release() !== first, patienceMs);
    } finally {
      child.kill('SIGINT');
    }
    assert.equal((await finish(child, patienceMs)).code, 130);
  });
});
