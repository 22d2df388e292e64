// SPDX-License-Identifier: Apache-2.0
//
// A hostile app beside a good one, on a board: whatever it takes, the other one keeps its pace, the device stays online, and the service learns what came of it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Board } from '@mbl/lab';
import { findOnDisk, writeToDisk } from './support/apps/disk.ts';
import { must, Team } from './support/apps/team.ts';
import { compileProbe } from './support/hostile/app-image.ts';
import { bootTimeoutMs, online, openWorld, until, type World } from './support/world.ts';

const name = 'hostile';
const teamName = 'mixed';
const group = '/sys/fs/cgroup/mbl.slice/mbl-apps.slice/mbl-app-hostile.service';
const volume = '/data/apps/volumes/hostile/state';
const [enoent, eio, eagain, econnrefused, edquot] = [2, 5, 11, 111, 122];
const mostFiles = 120;
const limits = { processes: 16, memory: 16 << 20, cpu: 50, log: 50 };

describe('a hostile app on a board', { timeout: 1_800_000 }, () => {
  let world: World;
  let board: Board;
  let team: Team;
  let id = '';
  let bootId = '';
  const data = randomBytes(64 << 10);

  before(async () => {
    world = await openWorld();
    board = await world.board(name);
    const booting = board.start();
    booting.catch(() => undefined);
    team = new Team(teamName, world.directory);
    const probe = join(world.directory, 'probe');
    await compileProbe(probe);
    const good = { lines: ['restart: { when: always, delay: 1 s }'] };
    const hostile = {
      source: join(import.meta.dirname, 'support/apps/hostile.c'),
      argument: 'obey',
      volumeFiles: mostFiles,
      files: { 'data.bin': data, 'bin/probe': await readFile(probe) },
      lines: [
        'restart: { when: never }',
        'permissions: { network: outbound }',
        `limits: { processes: ${limits.processes}, memory: 16 MiB, cpu: ${limits.cpu}, log: ${limits.log} }`,
      ],
    } as const;
    await team.release('1.0', { good, hostile });
    await team.release('1.1', { good, hostile });
    await booting;
    ({ id } = await online(world.client, name));
    bootId = await must(board, 'cat /proc/sys/kernel/random/boot_id');
  });
  after(async () => await world[Symbol.asyncDispose]());

  /** The last that the app said. */
  const said = async (): Promise<string> =>
    await must(board, 'journalctl -b -o cat -q --no-pager _SYSTEMD_UNIT=mbl-app-hostile.service | tail -40');
  /** Seconds since the start of the board at which the good app said its name: once a second, as long as it gets to run. */
  const ticks = async (): Promise<number[]> => {
    const text = await must(
      board,
      'journalctl -b -o short-monotonic -q --no-pager _SYSTEMD_UNIT=mbl-app-good.service | tail -200',
    );
    return text
      .split('\n')
      .filter((line) => line.endsWith(': good'))
      .map((line) => Number(/^\[ *(\d+\.\d+)\]/.exec(line)?.[1]));
  };
  const uptime = async (): Promise<number> => Number((await must(board, 'cat /proc/uptime')).split(' ')[0]);
  const starts = async () => Number(await must(board, 'cat /data/apps/volumes/good/state/starts'));

  /** Starts the app anew, to do this. */
  async function restart(mode: string): Promise<void> {
    await must(
      board,
      `printf ${mode} >${volume}/mode; systemctl restart mbl-app-hostile || { journalctl -b -o cat -q --no-pager -u mbl-app-hostile | grep -v asked | tail -20; exit 1; }`,
    );
  }

  /** Has the app do something from its start on, until `evidence` gives something; then looks at everybody else, while it goes on. */
  async function attack<T>(mode: string, evidence: () => Promise<T | undefined | false>): Promise<T> {
    await restart(mode);
    const began = await uptime();
    const found = await until(`what ${mode} comes to`, evidence, bootTimeoutMs);
    await everybodyElse(mode, began);
    return found;
  }

  async function everybodyElse(what: string, began: number): Promise<void> {
    const asked = performance.now();
    const values = await world.client.read(id, '/3/0');
    const answered = performance.now() - asked;
    assert.ok(values.length > 0);
    assert.ok((await online(world.client, name, 1000)).online, `${what}: the device is online`);
    const during = await until(
      `${what}: the good app goes on`,
      async () => {
        const found = (await ticks()).filter((at) => at > began);
        return found.length >= 5 && found;
      },
      bootTimeoutMs,
    );
    const pauses = during.slice(1).map((at, i) => at - (during[i] ?? at));
    const mean = pauses.reduce((sum, pause) => sum + pause, 0) / pauses.length;
    process.stdout.write(
      `      ${what}: a read took ${Math.round(answered)} ms; the good app, once a second: ${during.length} times, every ${mean.toFixed(2)} s, at most ${Math.max(...pauses).toFixed(2)} s\n`,
    );
    assert.equal(await starts(), 1, `${what}: the good app was not started anew`);
    assert.equal(await must(board, 'cat /proc/sys/kernel/random/boot_id'), bootId, `${what}: nor the device`);
  }

  /** What the program says that runs in the app's container, by what it was about. */
  async function inside(...command: string[]): Promise<Map<string, number>> {
    const answer = await world.client.apps.ask(id, 'hostile', 'run', { command, timeout: 60 });
    const { exit, output = '' } = answer;
    assert.equal(exit, 0, output);
    return new Map(
      [...output.matchAll(/^(.*) \d+ error (\d+)$/gm)].map(([, what = '', code]) => [what, Number(code)]),
    );
  }

  test('both run', async () => {
    await team.bring(board, '1.0');
    const { running, detail } = await team.stands(board, 'running', 'refused', 'fell-back');
    assert.equal(running, '1.0', detail);
    await everybodyElse('nothing', await uptime());
  });

  test('processes: as many as it may have', async () => {
    const error = await attack(
      'processes',
      async () => /^processes \d+ error (\d+)$/m.exec(await said())?.[1],
    );
    assert.equal(Number(error), eagain);
    const [now, most] = (await must(board, `cat ${group}/pids.current ${group}/pids.max`)).split('\n');
    assert.equal(Number(most), limits.processes);
    assert.ok(Number(now) <= limits.processes, `${now} processes`);
  });

  test('memory: it is ended, and the service learns why', async () => {
    const app = await attack('memory', async () => {
      const found = (await world.client.apps.ofDevice(id)).apps.find((one) => one.name === 'hostile');
      return found?.state === 'failed' && found;
    });
    assert.equal(app.reason, 'app/out-of-memory', app.detail);
    assert.equal(await must(board, 'systemctl show --value -p Result mbl-app-hostile'), 'oom-kill');
    const event = await until(
      'an event',
      async () =>
        (await world.client.listEvents({ filter: { device_id__eq: id } })).find(
          ({ event_type: type, data: of }) => type === 'device.app-failed' && of['app'] === 'hostile',
        ),
      bootTimeoutMs,
    );
    assert.equal(event.data['reason'], 'app/out-of-memory', event.description);
  });

  test('its volume: as many bytes and files as it may hold', async () => {
    const [, bytes, bytesError, files, filesError] = await attack(
      'fill',
      async () => /^bytes (\d+) error (\d+)\nfiles (\d+) error (\d+)$/m.exec(await said()) ?? undefined,
    );
    assert.deepEqual([Number(bytesError), Number(filesError)], [edquot, edquot]);
    assert.ok(Number(bytes) <= 1 << 20 && Number(bytes) > 1 << 19, `${bytes} bytes`);
    assert.ok(Number(files) <= mostFiles && Number(files) > mostFiles - 10, `${files} files`);
    await must(board, `rm -f ${volume}/f*`);
  });

  test('processors: its part of one', async () => {
    await attack('processor', async () => (await said()).endsWith('hostile processor'));
    const stat = await must(board, `cat ${group}/cpu.stat`);
    assert.ok(Number(/^nr_throttled (\d+)$/m.exec(stat)?.[1]) > 0, stat);
  });

  test('what belongs to others: it sees, reads and reaches nothing of it', async () => {
    await restart('wait');
    const foreign = [
      '/data/apps/volumes/good/state/starts',
      '/config/identity/key.pem',
      '/data/apps',
      '/config',
    ];
    const keys = ['/dev/vda', '/dev/mem', '/dev/tee0', '/run/dbus/system_bus_socket', '/etc/shadow'];
    const read = await inside('/bin/ticker', 'read', '/version', ...foreign, ...keys);
    assert.deepEqual([...read], [['/version', 0], ...[...foreign, ...keys].map((path) => [path, enoent])]);
    const good = await must(board, 'systemctl show --value -p MainPID mbl-app-good');
    const around = await inside(
      '/bin/ticker',
      'read',
      `/proc/${good}/environ`,
      '/proc/1/root/config/identity',
    );
    assert.equal(around.get(`/proc/${good}/environ`), enoent, 'the processes of others have no number here');
    assert.notEqual(around.get('/proc/1/root/config/identity'), 0);
    // Were it outside, its user could not either.
    const as = 'setpriv --reuid 200001 --regid 200001 --clear-groups';
    for (const path of [
      ...foreign.slice(0, 2),
      `/proc/${good}/environ`,
      '/etc/shadow',
      '/run/mbl/apps/callers.json',
    ])
      assert.notEqual((await board.ssh(`${as} cat ${path}`)).code, 0, path);
    assert.equal((await board.ssh(`${as} cat ${volume}/mode`)).stdout, 'wait', 'that is its user');
  });

  test('the network: it reaches what is outside, and no port of the device', async () => {
    const connects = async (address: string, port: number) => {
      const command = ['/bin/probe', 'connect', address, `${port}`, '60'];
      return (await world.client.apps.ask(id, 'hostile', 'run', { command, timeout: 90 })).output?.trim();
    };
    assert.equal(await connects('10.0.2.2', world.file.ports.est), 'connect 0');
    for (const address of ['198.18.0.1', '10.0.2.15'])
      assert.equal(await connects(address, 22), `connect ${econnrefused}`, address);
  });

  test('a byte of its image that somebody changed on the disk is an error where it is read, and nothing else', async () => {
    const read = async () => {
      await must(board, 'sync; echo 3 >/proc/sys/vm/drop_caches');
      return [...(await inside('/bin/ticker', 'read', '/data.bin', '/version')).values()];
    };
    assert.deepEqual(await read(), [0, 0]);
    const middle = data.subarray(40_000, 40_064);
    const at = await findOnDisk(board, middle);
    const other = Buffer.from(middle);
    other.writeUInt8(other.readUInt8(32) ^ 1, 32);
    await writeToDisk(board, at, other);
    assert.deepEqual(await read(), [eio, 0]);
    assert.match(
      await must(board, 'journalctl -k -b -o cat -q --no-pager | tail -20'),
      /fs-verity .*CORRUPTED/,
    );
    await writeToDisk(board, at, middle);
    assert.deepEqual(await read(), [0, 0]);
  });

  /** Of what links in the volume point to. */
  const outside = async () =>
    await must(
      board,
      'cd / && find etc/shadow config/identity -exec stat -c "%n %A %u %g %s %Y" {} + | sort && find etc/shadow config/identity -type f -exec sha256sum {} +',
    );
  let untouched = '';

  test('ways out of its volume: nobody takes them', async () => {
    untouched = await outside();
    assert.equal((await inside('/bin/ticker', 'links')).get('deep'), 0);
    assert.equal(await must(board, `find ${volume} -maxdepth 1 -type l | wc -l`), '6');
    const paths = ['shadow', 'identity', 'key', 'installed', 'root'].map((link) => `/var/lib/ticker/${link}`);
    for (const way of ['read', 'write'])
      for (const [path, error] of await inside('/bin/ticker', way, ...paths))
        assert.notEqual(error, 0, `${way} ${path}: it leads to nothing in the container`);
    await world.client.apps.ask(id, 'hostile', 'restart');
    assert.equal(await outside(), untouched);
  });

  test('the log: its lines, and how many more there were', async () => {
    const count = `journalctl -b -o cat -q --no-pager _SYSTEMD_UNIT=mbl-app-hostile.service | grep -c 'nobody asked'`;
    const suppressed = await attack('log', async () => {
      const { stdout } = await board.ssh(
        `journalctl -b -o cat -q --no-pager -t systemd-journald | grep 'Suppressed .* mbl-app-hostile.service' | tail -1`,
      );
      return /Suppressed (\d+) messages/.exec(stdout)?.[1];
    });
    const kept = Number(await must(board, count));
    process.stdout.write(`      ${kept} lines kept, the first time ${suppressed} not\n`);
    assert.ok(kept < Number(suppressed), `${kept} lines kept`);
    await restart('wait');
  });

  test('with all that in its volume it is updated, taken back and removed, and nothing else is touched', async () => {
    await team.bring(board, '1.1');
    await until(
      '1.1',
      async () => (await team.stands(board, 'running', 'fell-back', 'refused')).running === '1.1',
      bootTimeoutMs,
    );
    await world.client.apps.ask(id, teamName, 'rollback');
    assert.match(
      await must(board, 'cat /proc/$(systemctl show --value -p MainPID mbl-app-hostile)/root/version'),
      /1\.0$/,
    );
    assert.equal(await outside(), untouched);
    await team.want(board, '');
    await until(
      'nothing is left',
      async () =>
        (await must(
          board,
          'ls /data/apps/installed/teams /data/apps/installed/images /data/apps/volumes | grep -v :$ || true',
        )) === '',
      bootTimeoutMs,
    );
    assert.equal(await outside(), untouched);
    await until(
      'the app manager is content',
      async () => (await board.ssh('systemctl is-active mbl-apps')).stdout.trim() === 'inactive',
      bootTimeoutMs,
    );
    assert.equal(await must(board, 'cat /proc/sys/kernel/random/boot_id'), bootId);
  });
});
