// SPDX-License-Identifier: Apache-2.0
//
// The command line as scripts and people meet it: exit codes, JSON, plain text, completion, Ctrl-C.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findWorkspace, startDaemon, stopDaemon } from '@mbl/cli';
import { readServiceFile } from '@mbl/formats';
import { connectOnly, hostDevice } from './support/host-device.ts';
import { assertError, finish, mbl, mblJson, root, startMbl, temporaryFolder } from './support/mbl.ts';
import { processesOf } from './support/processes.ts';

const run = promisify(execFile);

describe('without a service', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let environment: Record<string, string>;
  before(async () => {
    folder = await temporaryFolder();
    environment = { MBL_STATE: join(folder.path, 'state') };
  });
  after(async () => await folder[Symbol.asyncDispose]());

  test('help is exit code 0, a wrong word 2, an error 1', async () => {
    assert.equal((await mbl(['--help'])).code, 0);
    assert.equal((await mbl([])).code, 0);
    assert.match((await mbl(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
    const wrong = await mbl(['upp']);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /unknown command 'upp'\n\(Did you mean [^)]*\bup\?\)/);
    assertError(await mbl(['device', 'list'], { environment }), 'cli/service-stopped', /does not run/);
  });

  test('it works from any folder and through a link', async () => {
    const link = join(folder.path, 'mbl');
    await symlink(join(root, 'mbl'), link);
    const { stdout } = await run(link, ['--help'], { cwd: '/' });
    assert.match(stdout, /^Usage: mbl /);
  });

  test('keys are made once, never overwritten, never shown', async () => {
    type Keys = {
      profile: string;
      folder: string;
      keys: { name: string; algorithm: string; fingerprint: string; place: string }[];
    };
    const made = await mblJson<Keys>(['keys', 'init'], { environment });
    assert.equal(made.profile, 'development');
    const rootOfTrust = made.keys.find(({ name }) => name === 'root-of-trust');
    assert.match(rootOfTrust?.fingerprint ?? '', /^[0-9a-f]{64}$/);
    assert.deepEqual(await mblJson<Keys>(['keys', 'show'], { environment }), made);
    assertError(await mbl(['keys', 'init'], { environment }), 'keys/exists', /never overwritten/);
    const { stdout } = await mbl(['keys', 'show'], { environment });
    assert.doesNotMatch(stdout, /PRIVATE/);
    assert.match(stdout, /^root-of-trust +ec-p256 /m);
  });

  test('a project file says what no option says', async () => {
    const product = join(folder.path, 'product');
    const below = join(product, 'below');
    await mkdir(below, { recursive: true });
    await writeFile(join(product, 'mbl.yaml'), 'keys: keys\nmachine: qemu-arm46\n');
    const wrong = await mbl(['build'], { environment, cwd: below });
    assertError(wrong, 'builder/missing-file', /mbl\.yaml:1:7: .*keys does not exist/);
    await mblJson(['keys', 'init', '--keys', join(product, 'keys')], { environment });
    const shown = await mbl(['keys', 'show'], { environment, cwd: below });
    assert.match(shown.stdout, /^development keys in .*\/product\/keys$/m);
    assert.match(shown.stderr, /^Project file: \.\.\/mbl\.yaml$/m);
    const unknown = await mbl(['build'], { environment, cwd: below });
    assertError(
      unknown,
      'builder/unknown-machine',
      /\.\.\/mbl\.yaml:2:10: No machine is called "qemu-arm46"/,
    );
    assert.match(unknown.stderr, /Did you mean "qemu-arm64"\?/);
    const typed = await mbl(['build', '--machine', 'other'], { environment, cwd: below });
    assertError(typed, 'builder/unknown-machine', /\] No machine is called "other"/);
    await writeFile(join(product, 'mbl.yaml'), 'image: product\nlayer: [x]\n');
    assertError(
      await mbl(['up', '--project', join(product, 'mbl.yaml')], { environment }),
      'formats/bad-recipe',
      /mbl\.yaml:2:1: "layer" is not a key.*\n.*"layers"\?/,
    );
  });

  test('the cache is pruned of what nobody used, after saying what that is', async () => {
    const cache = join(folder.path, 'cache');
    const own = { ...environment, MBL_CACHE: cache };
    assert.match((await mbl(['cache', 'prune'], { environment: own })).stdout, /^Nothing in the cache/);
    const output = join(cache, 'tasks', 'a-0123456789abcdef');
    for (const place of [output, join(cache, 'locks')]) await mkdir(place, { recursive: true });
    await writeFile(join(output, 'output.json'), 'x'.repeat(10_000));
    const longAgo = new Date(Date.now() - 40 * 86_400_000);
    await utimes(join(output, 'output.json'), longAgo, longAgo);
    const asked = await mbl(['cache', 'prune', '--dry-run'], { environment: own });
    assert.match(asked.stdout, /^outputs of tasks +1 +1[26]( KiB|\.0 KiB) .*\n\n.* would be freed$/m);
    type Pruned = { bytes: number; removed: { kind: string; removed: number }[] };
    const keep = await mblJson<Pruned>(['cache', 'prune', '--keep-days', '50'], { environment: own });
    assert.deepEqual(keep.removed, []);
    const { bytes, removed } = await mblJson<Pruned>(['cache', 'prune'], { environment: own });
    assert.deepEqual([removed[0]?.kind, removed[0]?.removed], ['outputs', 1]);
    assert.ok(bytes >= 10_000);
    await assert.rejects(stat(output), { code: 'ENOENT' });
  });

  test('status of an empty workspace, for people and for programs', async () => {
    const { code, stdout } = await mbl(['status'], { environment });
    assert.equal(code, 0);
    assert.match(stdout, /^service +stopped$/m);
    assert.match(stdout, /No boards yet\. Start with: \.\/mbl up/);
    const json = await mblJson<Record<string, unknown>>(['status'], { environment });
    assert.deepEqual(
      { ...json, keys: undefined },
      { keys: undefined, images: [], service: null, boards: [] },
    );
  });

  test('doctor names what it finds, and what to do', async () => {
    type Health = {
      healthy: boolean;
      findings: { what: string; state: string; found: string; remedy?: string }[];
    };
    const { code, stdout } = await mbl(['doctor', '--json'], { environment });
    const { healthy, findings } = JSON.parse(stdout) as Health;
    assert.equal(code, healthy ? 0 : 1);
    const names = findings.map(({ what }) => what);
    for (const what of ['Node', 'tools', 'memory', 'ports', 'Debian mirror'])
      assert.ok(names.includes(what), what);
    for (const { state, remedy } of findings) assert.equal(remedy === undefined, state === 'good');
  });

  test('an error is JSON where JSON was asked for', async () => {
    const { code, stdout, stderr } = await mbl(['device', 'list', '--json'], { environment });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    const { error } = JSON.parse(stderr) as { error: Record<string, string> };
    assert.equal(error['code'], 'cli/service-stopped');
    assert.match(error['remedy'] ?? '', /\.\/mbl up/);
  });

  test('colour on a terminal only, and never with NO_COLOR', async () => {
    const piped = await mbl(['status'], { environment });
    assert.equal(piped.stdout.includes('\u001b'), false);
    const onTerminal = async (more: NodeJS.ProcessEnv) =>
      (
        await run('script', ['-qec', `${join(root, 'mbl')} keys show`, '/dev/null'], {
          env: { ...process.env, ...environment, TERM: 'xterm', NO_COLOR: undefined, ...more },
        })
      ).stdout;
    assert.equal((await onTerminal({})).includes('\u001b[1m'), true);
    assert.equal((await onTerminal({ NO_COLOR: '1' })).includes('\u001b[1m'), false);
  });

  test('bash completes commands, options and values', async () => {
    const script = join(folder.path, 'completion.bash');
    await writeFile(script, (await mbl(['completion', 'bash'])).stdout);
    const complete = async (...words: string[]) => {
      const program = `source "$0"; COMP_WORDS=(./mbl "$@"); COMP_CWORD=$#; _mbl; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout } = await run('bash', ['-c', program, script, ...words], {
        env: { ...process.env, ...environment },
      });
      return stdout.split('\n').filter((line) => line !== '');
    };
    assert.deepEqual(await complete('d'), ['down', 'doctor', 'device']);
    assert.deepEqual(await complete('build', '--machine', 'q'), ['qemu-arm64']);
    assert.deepEqual(await complete('build', '--image', 'd'), ['development']);
    assert.deepEqual(await complete('up', '--im'), ['--image']);
    assert.ok((await complete('test', 'tests/cl')).includes('tests/cli.story.ts'));
  });

  test('zsh completes the same, with what each is', async () => {
    const script = join(folder.path, 'completion.zsh');
    await writeFile(script, (await mbl(['completion', 'zsh'])).stdout);
    const complete = async (...words: string[]) => {
      // What zsh's completion system would be given.
      const program = `compdef() { : }; _describe() { print -l -- "\${(@P)4}" }; source "$0"
        words=(./mbl "$@"); CURRENT=$#words; _mbl`;
      const { stdout } = await run('zsh', ['-f', '-c', program, script, ...words], {
        env: { ...process.env, ...environment },
      });
      return stdout.split('\n').filter((line) => line !== '');
    };
    assert.deepEqual(
      (await complete('d')).map((line) => line.replace(/:.*/, '')),
      ['down', 'doctor', 'device'],
    );
    assert.match((await complete('d')).join('\n'), /^down:stop the boards and the service$/m);
    assert.ok((await complete('build', '--machine', 'q')).some((line) => line.startsWith('qemu-arm64:')));
  });

  test('the words after -- reach no option parser', async () => {
    assertError(
      await mbl(['shell', 'nobody', '--', 'ls', '--json'], { environment }),
      'lab/unknown-board',
      /no board/,
    );
  });
});

describe('with a service', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let environment: Record<string, string>;
  before(async () => {
    folder = await temporaryFolder();
    environment = { MBL_STATE: join(folder.path, 'state') };
    await startDaemon(findWorkspace(environment), { signal: AbortSignal.timeout(60_000) });
  });
  after(async () => {
    await stopDaemon(findWorkspace(environment), AbortSignal.timeout(60_000));
    await folder[Symbol.asyncDispose]();
  });

  test('a device is named before it exists, and listed', async () => {
    const { code, device_id: id } = await mblJson<{ code: string; device_id: string }>(
      ['device', 'enrol', 'board-a'],
      { environment },
    );
    assert.ok(code.length >= 16);
    assert.match(id, /^[0-9a-f]{32}$/);
    const [device] = await mblJson<{ id: string; endpoint_name: string; online: boolean }[]>(
      ['device', 'list'],
      { environment },
    );
    assert.deepEqual([device?.id, device?.endpoint_name, device?.online], [id, 'board-a', false]);
    const { stdout } = await mbl(['device', 'list', '--filter', 'endpoint_name__eq=board-a'], {
      environment,
    });
    assert.match(stdout, new RegExp(`^DEVICE +NAME +STATE .*\n${id} +board-a +`));
    assert.equal((await mblJson<{ id: string }>(['device', 'show', 'board-a'], { environment })).id, id);
    assertError(
      await mbl(['device', 'show', 'board-b'], { environment }),
      'service/no-such-device',
      /board-b/,
    );
  });

  test('what asks a device that is not there says so', async () => {
    for (const words of [
      ['read', 'board-a', '/3/0/3'],
      ['execute', 'board-a', '/3/0/4'],
      ['reboot', 'board-a'],
    ]) {
      const { code, stderr } = await mbl(['device', ...words], { environment });
      assert.equal(code, 1);
      assert.match(stderr, /not connected/);
    }
  });

  test('a device is suspended, resumed, and deleted', async () => {
    type Shown = { lifecycle_status: string; last_operator_suspended_category: string };
    const shown = async () => await mblJson<Shown>(['device', 'show', 'board-a'], { environment });
    const reason = ['--category', 'lost_or_stolen', '--reason', 'left on a train'];
    const { stdout } = await mbl(['device', 'suspend', 'board-a', ...reason], { environment });
    assert.match(stdout, /^board-a is suspended\. .*mbl device resume board-a$/m);
    assert.equal((await shown()).lifecycle_status, 'blocked');
    assert.equal((await shown()).last_operator_suspended_category, 'lost_or_stolen');
    assert.match((await mbl(['device', 'list'], { environment })).stdout, / board-a +suspended /);
    assert.match(
      (await mbl(['device', 'events', 'board-a'], { environment })).stdout,
      /device\.suspended {2}left on a train$/m,
    );
    const resumed = await mblJson<{ suspended: boolean }>(['device', 'resume', 'board-a'], { environment });
    assert.equal(resumed.suspended, false);
    assert.equal((await shown()).lifecycle_status, 'enabled');
    await mbl(['device', 'enrol', 'board-d'], { environment });
    assert.match(
      (await mbl(['device', 'delete', 'board-d'], { environment })).stdout,
      /no longer in the dir/,
    );
    assertError(await mbl(['device', 'delete', 'board-d'], { environment }), 'service/no-such-device', /-d/);
  });

  test('a device that lost its key is let in once more by the code that it has', async () => {
    assertError(
      await mbl(['device', 'enrol', 'board-a', '--again'], { environment }),
      'service/no-used-code',
      /board-a/,
    );
    const service = await readServiceFile(join(folder.path, 'state/service'));
    assert.ok(service);
    const { code } = await mblJson<{ code: string }>(['device', 'enrol', 'board-e'], { environment });
    await using device = await hostDevice(join(folder.path, 'board-e'), service, 'board-e', code);
    await device.run(async () => {
      await until(() => device.says(/^registered /), 'the device registers');
    });
    await device.loseIdentity();
    await device.run(async () => {
      await until(() => device.says(/^enrolment refused .*mbl device enrol board-e --again/), 'it waits');
      const { stdout } = await mbl(['device', 'enrol', 'board-e', '--again'], { environment });
      assert.match(stdout, /^accepted until +2\d{3}-/m);
      await until(() => device.says(/^registered /), 'the device registers again');
    });
    const { stdout } = await mbl(['device', 'events', 'board-e'], { environment });
    assert.match(stdout, /device\.clone-suspected .*used before/);
    assert.match(stdout, /device\.enrolment-rearmed {2}The enrolment code is accepted once more until/);
    assert.match(stdout, /device\.enrolled {2}The device was given a new certificate by its re-armed code/);
  });

  test('a device that is connected and has not registered is shown, without objects', async () => {
    const service = await readServiceFile(join(folder.path, 'state/service'));
    assert.ok(service);
    const { code } = await mblJson<{ code: string }>(['device', 'enrol', 'board-f'], { environment });
    await using device = await hostDevice(join(folder.path, 'board-f'), service, 'board-f', code);
    await device.run(async () => {
      await until(() => device.says(/^registered /), 'the device registers');
      // It loses its registration with its right, and comes back with no more than a connection.
      await mbl(['device', 'suspend', 'board-f', '--category', 'other'], { environment });
    });
    await mbl(['device', 'resume', 'board-f', '--category', 'other'], { environment });
    const peer = await connectOnly(join(folder.path, 'board-f/identity'), service);
    try {
      type Shown = { online: boolean; state: string; resources: unknown[] };
      const shown = async () => await mblJson<Shown>(['device', 'show', 'board-f'], { environment });
      await until(async () => (await shown()).online, 'it is on line');
      const { state, resources } = await shown();
      assert.deepEqual([state, resources], ['deregistered', []]);
    } finally {
      peer.close();
    }
  });

  test('events are followed until Ctrl-C, which is exit code 130', async () => {
    const child = startMbl(['device', 'events', '--follow', '--json'], { environment });
    let seen = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (seen += text));
    const ended = finish(child, 60_000);
    await until(() => seen.includes('device.created'), 'the events of before');
    await mbl(['device', 'enrol', 'board-c'], { environment });
    await until(() => seen.includes('board-c'), 'a new event');
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    assert.equal(code, 130);
    for (const line of stdout.trim().split('\n'))
      assert.equal(typeof (JSON.parse(line) as { event_type: string }).event_type, 'string');
    assert.equal(stderr, '');
  });

  test('the log of the service is printed', async () => {
    const { stdout } = await mbl(['logs', 'service', '--lines', '1000'], { environment });
    assert.match(stdout, /"message":"Ready"/);
    const one = await mbl(['logs', 'service', '--lines', '1'], { environment });
    assert.equal(one.stdout.trim().split('\n').length, 1);
  });

  test('completion knows the devices', async () => {
    const { stdout } = await mbl(['complete', '--', 'device', 'show', 'board-a'], { environment });
    assert.equal(stdout, 'board-a\toffline\n');
  });

  test('down leaves nothing running, and is no error twice', async () => {
    assert.deepEqual(await mblJson(['down'], { environment }), { boards: [], service: true });
    assert.deepEqual(await processesOf(folder.path), []);
    const { code, stdout } = await mbl(['down'], { environment });
    assert.equal(code, 0);
    assert.match(stdout, /Nothing was running/);
  });

  test('down takes the database along that a killed service left running', async () => {
    const { file } = await startDaemon(findWorkspace(environment), { signal: AbortSignal.timeout(90_000) });
    process.kill(file.pid, 'SIGKILL');
    await until(
      async () => !(await processesOf(folder.path)).some((line) => line.includes('main.ts')),
      'the end',
    );
    assert.deepEqual(await mblJson(['down'], { environment }), { boards: [], service: true });
    assert.deepEqual(await processesOf(folder.path), []);
  });
});

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `${what} did not come in time`);
    await sleep(50);
  }
}
