// SPDX-License-Identifier: Apache-2.0
//
// The first ten minutes of a person with MBL: one command to a device online, everything that its last lines suggest, and one command
// that leaves nothing running.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { findWorkspace } from '@mbl/cli';
import { assertError, finish, mbl, mblJson, startMbl, temporaryFolder } from './support/mbl.ts';
import { processesOf } from './support/processes.ts';
import { bootTimeoutMs, until } from './support/world.ts';

const building = { timeout: 1_800_000 };
const booting = { timeout: 2 * bootTimeoutMs };

interface Up {
  readonly board: { readonly name: string; readonly directory: string };
  readonly device: { readonly id: string; readonly online: boolean };
}

interface Shown {
  readonly online: boolean;
  readonly registered_at: string;
  readonly device_key: string;
}

interface Value {
  readonly path: string;
  readonly value: unknown;
}

describe('./mbl up', { timeout: 1_800_000 }, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let environment: Record<string, string>;
  let service: string;

  before(async () => {
    folder = await temporaryFolder();
    environment = { MBL_STATE: join(folder.path, 'state') };
    // The image of the working copy, so that nothing is compiled here.
    await mblJson(['build'], building);
    await cp(join(findWorkspace().state, 'keys'), join(folder.path, 'state', 'keys'), { recursive: true });
  });
  after(async () => {
    await mbl(['down'], { environment, ...booting });
    await folder[Symbol.asyncDispose]();
  });

  const said = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await mbl(args, { environment, ...booting });
    assert.equal(code, 0, `mbl ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  /** Starts a command, does `act` once it printed `pattern`, and gives its exit code and all that it printed. */
  const once = async (
    args: string[],
    pattern: RegExp,
    act: (child: ChildProcess) => void,
  ): Promise<{ code: number | null; text: string }> => {
    const child = startMbl(args, { environment, stdin: 'pipe' });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    const ended = finish(child, booting.timeout);
    await until(`mbl ${args.join(' ')} prints ${pattern}`, async () => pattern.test(text), bootTimeoutMs);
    act(child);
    return { code: (await ended).code, text };
  };

  test('is interrupted while the board boots, and continues to a device online', async () => {
    const { code } = await once(['up', 'first'], /power on first/, (child) => child.kill('SIGINT'));
    assert.equal(code, 130);
    const { stdout, stderr, code: end } = await mbl(['up', 'first'], { environment, ...booting });
    assert.equal(end, 0, stderr);
    assert.match(stderr, /✔ build qemu-arm64 development .*nothing changed/);
    assert.match(stderr, /✔ wait until the device is online/);
    assert.match(stdout, /^[0-9a-f]{32} +first +online +development +[0-9a-f]{16}$/m);
    assert.match(stdout, /What to try next:\n +\.\/mbl device show first /);
  });

  test('again changes nothing, and says the same to programs', async () => {
    const { device, board } = await mblJson<Up>(['up', 'first'], { environment, ...booting });
    assert.ok(device.online);
    assert.ok(board.directory.startsWith(folder.path));
    const status = await mblJson<{ service: { http: string } }>(['status'], { environment });
    service = status.service.http;
  });

  test('the device is listed, shown, read, written and watched', async () => {
    assert.match(await said('device', 'list'), /^[0-9a-f]{32} +first +online +- +development /m);
    const shown = await said('device', 'show', 'first');
    for (const line of [/^state +registered$/m, /^image_keys +development$/m]) assert.match(shown, line);
    const listed = async (keys: string) =>
      (
        await mblJson<{ endpoint_name: string }[]>(['device', 'list', '--filter', `image_keys__eq=${keys}`], {
          environment,
        })
      ).map((device) => device.endpoint_name);
    assert.deepEqual([await listed('development'), await listed('production')], [['first'], []]);
    assert.match(await said('device', 'read', 'first', '/14/1/2'), /^6\.\d+\.\d+-\d+\n$/);
    assert.match(await said('device', 'read', 'first', '/14'), /^\/14\/1\/2 +Component Version +6\.\d/m);
    await said('device', 'write', 'first', '/1/0/1', '7200');
    const values = await mblJson<Value[]>(['device', 'read', 'first', '/1/0/1'], { environment });
    assert.deepEqual(
      values.map(({ path, value }) => [path, value]),
      [['/1/0/1', 7200]],
    );
    const watched = await once(['device', 'watch', 'first', '/3/0/10'], /\d{4,}/, (child) =>
      child.kill('SIGINT'),
    );
    assert.equal(watched.code, 130, watched.text);
    assert.match(await said('device', 'events', 'first'), /registered/);
  });

  test('a suspended device is gone and refused until it is resumed; it restarts when it is asked to', async () => {
    const online = async () => (await mblJson<Shown>(['device', 'show', 'first'], { environment })).online;
    await said('device', 'suspend', 'first', '--category', 'maintenance');
    await until('the connection ends', async () => !(await online()), bootTimeoutMs);
    await until(
      'the device is refused',
      async () => (await said('device', 'events', 'first')).includes('device.connection-refused'),
      bootTimeoutMs,
    );
    await said('device', 'resume', 'first');
    await until('it comes back', online, bootTimeoutMs);
    const boot = async () => await said('shell', 'first', '--', 'cat', '/proc/sys/kernel/random/boot_id');
    const before = await boot();
    const { registered_at: last } = await mblJson<Shown>(['device', 'show', 'first'], { environment });
    await said('device', 'reboot', 'first');
    await until(
      'it registers again',
      async () => (await mblJson<Shown>(['device', 'show', 'first'], { environment })).registered_at !== last,
      booting.timeout,
    );
    assert.notEqual(await boot(), before, 'the board restarted');
  });

  test('the shell is the board’s, and its exit code is the command’s', async () => {
    assert.equal((await said('shell', 'first', '--', 'uname', '-m')).trim(), 'aarch64');
    assert.equal((await mbl(['shell', 'first', '--', 'exit 7'], { environment, ...booting })).code, 7);
  });

  test('the logs are the service’s, the serial console’s and the board’s', async () => {
    assert.match(await said('logs', 'service'), /"message":"Ready"/);
    const serial = await said('logs', 'serial', 'first', '--lines', '5000');
    for (const line of [
      'Booting Trusted Firmware',
      'Starting kernel',
      'signed with development keys',
      'opened by dm-verity',
    ])
      assert.ok(serial.includes(line), line);
    assert.match(await said('logs', 'board', 'first', '--lines', '500'), /mbl-cloud-client/);
  });

  test('another board stands beside it; a third has its console here until Ctrl-]', async () => {
    assert.match(await said('up', 'second'), /^[0-9a-f]{32} +second +online/m);
    assert.match(await said('device', 'list'), / first +online[\s\S]* second +online/);
    await said('down', 'second');
    const identity = async () =>
      (await mblJson<Shown>(['device', 'show', 'second'], { environment })).device_key;
    const before = await identity();
    await said('board', 'reset', 'second');
    await said('up', 'second');
    assert.notEqual(await identity(), before, 'the board made itself a new key');
    await said('down', 'second');
    const { code, text } = await once(['run', 'third', '--no-service'], /Starting kernel/, (child) =>
      child.stdin?.write('\x1d'),
    );
    assert.equal(code, 0, text);
    assert.match(text, /Left the console\.\n$/);
    const { boards } = await mblJson<{ boards: { name: string; running: boolean }[] }>(['status'], {
      environment,
    });
    assert.deepEqual(
      boards.filter(({ running }) => running).map(({ name }) => name),
      ['first'],
    );
    assert.equal(boards.length, 3);
    assertError(await mbl(['board', 'remove', 'first'], { environment }), 'lab/board-running', /first/);
    await said('board', 'remove', 'third');
    assert.doesNotMatch(await said('board', 'list'), /third/);
  });

  test('a board that has another build gets this one over the air, and keeps what it was', async () => {
    const layer = join(folder.path, 'layer');
    await mkdir(join(layer, 'images'), { recursive: true });
    // Its boot firmware is another one: the board is to refuse the one of before.
    const firmware = '{ firmware: { counters: { trusted: 1, non-trusted: 1 } } }';
    await writeFile(
      join(layer, 'layer.yaml'),
      `name: changed\nimages: images\nchange: { machines: { qemu-arm64: ${firmware} } }\n`,
    );
    await writeFile(
      join(layer, 'images/changed.yaml'),
      'extends: development\ntitle: Changed\nhostname: changed\n',
    );
    const before = await mblJson<Shown>(['device', 'show', 'first'], { environment });
    const next = ['up', 'first', '--image', 'changed', '--layer', layer];
    const { code, stderr, stdout } = await mbl(next, { environment, ...building });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /✔ update first over the air/);
    const build = /^[0-9a-f]{32} +first +online +changed +([0-9a-f]{16})$/m.exec(stdout)?.[1];
    assert.match(stderr, new RegExp(`✔ make and sign a release of it .*build-${build}`));
    assert.equal((await said('shell', 'first', '--', 'cat', '/proc/sys/kernel/hostname')).trim(), 'changed');
    assert.match(await said('device', 'read', 'first', '/33400/0/0'), /^b$/m);
    const bank = async (...words: string[]) =>
      await said('shell', 'first', '--', '/usr/lib/mbl/mbl-native', 'firmware', ...words);
    assert.match(await bank('status'), /^bank=b trial=0 /);
    assert.equal(await bank('counter', '0'), 'stored=1 pending=1\n');
    const now = await mblJson<Shown>(['device', 'show', 'first'], { environment });
    assert.equal(now.device_key, before.device_key, 'the same device');
    const again = await mbl(next, { environment, ...building });
    assert.doesNotMatch(again.stderr, /over the air|flash board/, 'nothing is left to do');
  });

  test('with --reflash it is written anew, off line', async () => {
    const { stderr, code } = await mbl(['up', 'first', '--reflash'], { environment, ...booting });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /✔ flash board first with build [0-9a-f]{16} .*identity and data kept/);
    assert.match(await said('device', 'read', 'first', '/33400/0/0'), /^a$/m);
  });

  test('doctor names the boards that run what development keys signed', async () => {
    const { stdout } = await mbl(['doctor'], { environment });
    assert.match(stdout, /^! keys of boards: development keys signed what first, second run$/m);
    assert.match(stdout, /\.\/mbl keys init --production/);
  });

  test('./mbl down leaves nothing running, and keeps everything', async () => {
    assert.ok((await processesOf(folder.path)).length > 0, 'the check sees what runs');
    assert.deepEqual(await mblJson(['down'], { environment, ...booting }), {
      boards: [{ name: 'first', clean: true }],
      service: true,
    });
    assert.deepEqual(await processesOf(folder.path), []);
    const { hostname, port } = new URL(service);
    const refused = await new Promise((done) => {
      connect(Number(port), hostname)
        .once('connect', () => done(false))
        .once('error', () => done(true));
    });
    assert.ok(refused, 'the port of the service is free');
    assert.match(await said('status'), /^service +stopped$/m);
  });
});
