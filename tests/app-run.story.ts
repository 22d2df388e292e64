// SPDX-License-Identifier: Apache-2.0
//
// Apps on a board, without a service: what is brought is judged by the board alone, runs under systemd in a container, and what fails goes back. Every
// state that a power cut may leave of an update, a fall-back and a rollback is judged off line: docs/decisions/0034
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Board } from '@mbl/lab';
import { behaviour, doUpdates, makeUpdates, rollbackIndex } from './support/apps/cut-updates.ts';
import { indexLate, nothingFlushed, oldRemoved } from './support/apps/careless-apps.ts';
import { AppDeeds, appCrashStates, judgeAppCrashes } from './support/apps/recorded-apps.ts';
import { must, Team } from './support/apps/team.ts';
import { bootTimeoutMs, online, openWorld, until, type World } from './support/world.ts';

/** How many states are judged: as many of them as there are for a release, by `all`. */
const most = Number(process.env['MBL_APP_STATES']?.replace('all', 'Infinity') ?? 150);

/** For who reads the story's output: counts and times. */
const say = (line: string): void => void process.stdout.write(`      ${line}\n`);

describe('apps on a board', { timeout: 1_800_000 }, () => {
  let world: World;
  let board: Board;
  let team: Team;
  let deeds: AppDeeds;

  before(async () => {
    world = await openWorld();
    team = new Team('weather', world.directory);
    board = await world.board('apps');
    await board.start({ recordWrites: true });
    deeds = new AppDeeds(board, team);
    const one = {
      sensor: { lines: ['restart: { when: always, delay: 1 s }', 'limits: { memory: 16 MiB }'] },
      many: {
        source: join(import.meta.dirname, 'support/apps/hostile.c'),
        argument: 'obey',
        lines: [
          'users: several',
          'user: "33:44"',
          'permissions: { devices: [/dev/rtc0] }',
          'health: { command: [/bin/ticker, write, /dev/rtc0], interval: 60 s, timeout: 20 s, grace: 1 s }',
        ],
      },
      display: {
        lines: [
          'after: [sensor]',
          'permissions: { network: outbound, ports: { web: { port: 80, published: 8080 } }, bus: { talk: [com.mbl.Cloud1] } }',
          'health: { command: [/bin/ticker, check], interval: 5 s, timeout: 20 s, failures: 2, grace: 1 s }',
        ],
      },
    };
    await team.release('1.0', one, rollbackIndex);
    await team.release('1.1', { sensor: {}, display: { argument: 'end' } }, rollbackIndex);
    const asking = { lines: ['permissions: { ports: { web: { port: 80 } } }'] };
    await team.release('1.2', { sensor: {}, display: asking }, rollbackIndex);
    await makeUpdates(team);
    await online(world.client, 'apps');
  });
  after(async () => await world[Symbol.asyncDispose]());

  const starts = async (app: string) =>
    Number(await must(board, `cat /data/apps/volumes/${app}/state/starts`));
  const active = async (app: string) => (await board.ssh(`systemctl is-active mbl-app-${app}`)).stdout.trim();
  const pid = async (app: string) => await must(board, `systemctl show --value -p MainPID mbl-app-${app}`);

  /** Leaves an order to an app as `mbl-platformd` does, and returns the answer. */
  async function ask(id: string, what: object): Promise<Record<string, unknown>> {
    const text = JSON.stringify({ id, ...what });
    const answer = `/run/mbl/apps/answers/${id}.json`;
    await must(
      board,
      `rm -f ${answer}; mkdir -p /run/mbl-platformd/asks && cat >/run/mbl-platformd/.${id} <<'END' && mv /run/mbl-platformd/.${id} /run/mbl-platformd/asks/${id}.json\n${text}\nEND`,
    );
    return await until(
      'an answer',
      async () => {
        const { code, stdout } = await board.ssh(`cat ${answer}`);
        return code === 0 && (JSON.parse(stdout) as Record<string, unknown>);
      },
      240_000,
    );
  }

  test('a signed release is installed, and each app runs in its own container', async () => {
    await deeds.bring('1.0', '1.0', async () => {
      const { running, reason } = await team.stands(board, 'running', 'refused', 'fell-back');
      assert.deepEqual([running, reason], ['1.0', '']);
    });
    for (const app of ['sensor', 'display']) {
      assert.equal(await active(app), 'active');
      assert.equal(await starts(app), 1);
    }
    assert.match(await must(board, `cat /proc/${await pid('display')}/net/dev`), /eth0:/);
    assert.equal(
      (await board.ssh(`test -S /proc/${await pid('display')}/root/run/dbus/system_bus_socket`)).code,
      0,
    );
    const process = await pid('sensor');
    assert.doesNotMatch(await must(board, `cat /proc/${process}/net/dev`), /eth0:/);
    assert.equal(await must(board, `stat -c %u /proc/${process}`), '200000');
    assert.match(
      await must(board, `cat /proc/${process}/status`),
      /^CapBnd:\t0+$[^]*^NoNewPrivs:\t1$[^]*^Seccomp:\t2$/m,
    );
    assert.equal(await must(board, `cat /proc/${process}/attr/current`), 'mbl-app (enforce)');
    assert.match(await must(board, `cat /proc/${process}/root/version`), /^sensor 1\.0$/);
    assert.equal((await board.ssh(`touch /proc/${process}/root/new`)).code, 1);
    assert.match(
      await must(board, 'journalctl -b -o cat _SYSTEMD_UNIT=mbl-app-sensor.service | tail -1'),
      /^sensor$/,
    );
    assert.equal(
      await must(board, 'cat /sys/fs/cgroup/mbl.slice/mbl-apps.slice/mbl-app-sensor.service/memory.max'),
      String(16 << 20),
    );
  });

  test('an app of several users has the numbers of its image, and the device that the owner allows', async () => {
    const process = await pid('many');
    const [, first, size] = (await must(board, `cat /proc/${process}/uid_map`))
      .trim()
      .split(/\s+/)
      .map(Number);
    assert.ok(first !== undefined && first >= 1_000_000 && (first - 1_000_000) % 65_536 === 0, `${first}`);
    assert.equal(size, 65_536);
    const owner = async (path: string) => await must(board, `stat -c '%u %g' ${path}`);
    assert.equal(await owner(`/proc/${process}`), `${first + 33} ${first + 44}`);
    assert.equal(await owner(`/proc/${process}/root/version`), `${first} ${first}`, 'the root of its image');
    assert.equal(await owner('/data/apps/volumes/many/state'), `${first + 33} ${first + 44}`);
    const opens = async () =>
      (
        await ask('00000000000000b1', {
          action: 'run',
          name: 'many',
          command: ['/bin/ticker', 'write', '/dev/rtc0', '/dev/hwrng', '/version', '/var/lib/ticker/new'],
        })
      )['output'];
    const [eacces, enoent, erofs] = [13, 2, 30];
    const errors = (rtc: number) =>
      `/dev/rtc0 0 error ${rtc}\n/dev/hwrng 0 error ${enoent}\n/version 0 error ${erofs}\n/var/lib/ticker/new 0 error ${enoent}\n`;
    assert.equal(await opens(), errors(eacces), 'the device itself is for root');
    // As a rule of udev would.
    await must(board, 'chmod 666 /dev/rtc0');
    assert.equal(await opens(), errors(0));
    await must(board, 'systemctl start mbl-app-health-many');
    assert.match(await must(board, 'journalctl -b -o cat -t many | tail -5'), /^\/dev\/rtc0 0 error 0$/m);
  });

  test('an app does not start without the profile that confines it, which is there again at the next look', async () => {
    const kernel = '/sys/kernel/security/apparmor';
    await must(board, `printf mbl-app >${kernel}/.remove`);
    assert.notEqual((await board.ssh('systemctl restart mbl-app-many')).code, 0);
    assert.match(
      await must(board, 'journalctl -b -o cat -u mbl-app-many | tail -20'),
      /apparmor|attr\/exec/i,
    );
    await must(board, ': >/run/mbl-platformd/apps');
    await until(
      'the profile',
      async () => (await must(board, `cat ${kernel}/profiles`)).includes('mbl-app (enforce)'),
      240_000,
    );
    await until('it runs', async () => (await board.ssh('systemctl start mbl-app-many')).code === 0, 240_000);
    assert.equal(await must(board, `cat /proc/${await pid('many')}/attr/current`), 'mbl-app (enforce)');
  });

  test('an app that is killed, or not healthy any more, starts anew; nobody else does', async () => {
    const before = await starts('display');
    await must(board, `kill -9 ${await pid('sensor')}`);
    await until('a second start', async () => (await starts('sensor')) === 2, 240_000);
    await until('it runs', async () => (await active('sensor')) === 'active', 60_000);
    assert.equal(await starts('display'), before);
    await must(board, 'touch /data/apps/volumes/display/state/sick');
    await until('the health command failed twice', async () => (await starts('display')) > before, 240_000);
    await must(board, 'rm /data/apps/volumes/display/state/sick');
  });

  test('a release follows it, one that is not healthy goes back, and so does who wants the one before', async () => {
    await doUpdates(board, team, deeds);
    assert.equal(await active('sensor'), 'active');
    assert.match(await must(board, `cat /proc/${await pid('display')}/root/version`), /^display 1\.0$/);
    assert.equal(await active('extra'), 'inactive');
  });

  test('what is asked of an app is done, and answered', async () => {
    const log = await ask('00000000000000a1', { action: 'log', name: 'sensor', lines: 3 });
    assert.equal(log['error'], '');
    assert.deepEqual(
      (log['log'] as { text: string }[]).map(({ text }) => text),
      ['sensor', 'sensor', 'sensor'],
    );
    const next = await ask('00000000000000a2', {
      action: 'log',
      name: 'sensor',
      cursor: log['cursor'],
      lines: 1,
    });
    assert.equal((next['log'] as object[]).length, 1);
    const ran = await ask('00000000000000a3', {
      action: 'run',
      name: 'sensor',
      command: ['/bin/ticker', 'end'],
    });
    assert.deepEqual([ran['error'], ran['exit']], ['', 3]);
    const long = await ask('00000000000000a4', {
      action: 'run',
      name: 'sensor',
      command: ['/bin/ticker', 'x'],
      timeout: 3,
    });
    assert.match(String(long['output']), /^x\nx\n/);
    assert.notEqual(long['exit'], 0);
    assert.equal((await ask('00000000000000a5', { action: 'stop', name: 'sensor' }))['error'], '');
    assert.equal(await active('sensor'), 'inactive');
    const idle = await ask('00000000000000a7', { action: 'run', name: 'sensor', command: ['/bin/ticker'] });
    assert.equal(idle['error'], 'sensor does not run: a program needs its container');
    assert.match(
      String((await ask('00000000000000a6', { action: 'stop', name: 'nobody' }))['error']),
      /there is no app nobody/,
    );
  });

  test('a release of which one app ends at once goes back as a whole', async () => {
    await team.bring(board, '1.1');
    const { running, reason, detail } = await team.stands(board, 'fell-back', 'refused');
    // Its end may come before systemd knows its number: then nobody sees the status.
    assert.match(
      `${running} ${reason} ${detail}`,
      /^1\.0 app\/(?:ended|did-not-start) display (?:ended|could not be started)/,
    );
    await until('the old one runs', async () => (await active('display')) === 'active', 240_000);
    const process = await pid('display');
    assert.match(await must(board, `cat /proc/${process}/root/version`), /^display 1\.0$/);
    assert.equal(await active('sensor'), 'inactive', 'it was stopped, and stays so');
  });

  test('what the policy does not allow, and another image than the signed one, is not installed', async () => {
    await team.bring(board, '1.2');
    const refused = await team.stands(board, 'refused', 'running');
    assert.deepEqual([refused.running, refused.reason], ['1.0', 'app/not-allowed']);
    assert.match(refused.detail, /port 80\/tcp/);
    await team.bring(board, '1.1', true);
    const damaged = await until(
      'a second fall',
      async () => {
        const status = await team.stands(board, 'fell-back');
        return status.reason === 'app/damaged' && status;
      },
      240_000,
    );
    assert.match(damaged.detail, /not the one that was signed/);
  });

  test('after a restart what ran runs, what was stopped does not, and a changed image never', async () => {
    const [one, other] = (
      await must(
        board,
        `grep -ho 'installed/images/[0-9a-f]*' /run/systemd/system/mbl-app-sensor.service /run/systemd/system/mbl-app-display.service`,
      )
    ).split('\n');
    assert.ok(one !== undefined && other !== undefined);
    // Somebody with the disk in hand: the image of one app in the place of the other's.
    await must(
      board,
      `cp /data/apps/${one}.erofs /data/apps/x && mv -f /data/apps/x /data/apps/${other}.erofs && sync`,
    );
    const boot = 'cat /proc/sys/kernel/random/boot_id';
    const first = await must(board, boot);
    await board.ssh('systemctl reboot');
    await until(
      'another boot',
      async () => {
        const { code, stdout } = await board.ssh(boot).catch(() => ({ code: 255, stdout: '' }));
        return code === 0 && stdout.trim() !== first;
      },
      bootTimeoutMs,
    );
    const apps = await until(
      'the apps after the restart',
      async () => {
        const { stdout } = await board.ssh('cat /run/mbl/apps/status.json');
        return stdout !== '' && (JSON.parse(stdout) as { apps: { name: string; reason: string }[] }).apps;
      },
      240_000,
    );
    assert.deepEqual(apps.map(({ name, reason }) => `${name} ${reason}`).toSorted(), [
      'display app/damaged',
      'many ',
      'sensor ',
    ]);
    assert.notEqual(await active('display'), 'active');
    assert.notEqual(await active('sensor'), 'active', 'stopped by order');
    await must(board, 'rm /data/apps/installed/stopped/sensor && systemctl start mbl-app-sensor');
    assert.ok((await starts('sensor')) > 2);
  });

  test('a team that is not wanted any more leaves nothing but its rollback index', async () => {
    await team.want(board, '');
    await until(
      'nothing is left',
      async () =>
        (await must(
          board,
          'ls /data/apps/installed/teams /data/apps/installed/images /data/apps/volumes | grep -v :$ || true',
        )) === '',
      240_000,
    );
    assert.equal((await board.ssh('ls /run/systemd/system | grep mbl-app-')).stdout, '');
  });

  test('no power cut in an update leaves a part of a release, or makes the board forget what it said', async () => {
    await board.powerOff();
    const log = await board.writeLog();
    const recorded = await deeds.recorded(log, behaviour);
    const images = join(world.directory, 'cut');
    await mkdir(images);
    const at = { images, files: join(world.directory, 'cut/files'), most };
    const start = performance.now();
    await using states = await appCrashStates(board, recorded.deeds);
    const found = await judgeAppCrashes(states, recorded, at);
    say(`${JSON.stringify(found)} in ${((performance.now() - start) / 1000).toFixed(0)} s`);
    say(`${states.selections} selections, left out: ${JSON.stringify(states.leftOut)}`);
    assert.deepEqual(found.bad.slice(0, 10), [], `${found.bad.length} bad`);
    for (const phase of ['install', 'try', 'commit', 'back'])
      assert.ok(
        Object.keys(found.ends).some((end) => end.endsWith(phase)),
        `a cut while the journal says ${phase}`,
      );
    // What an app manager would leave that is not careful is found.
    const [, update, , rollback] = recorded.deeds;
    assert.ok(update !== undefined && rollback !== undefined);
    await using ofUpdate = await appCrashStates(board, [update]);
    await using unflushed = await appCrashStates(board, [rollback], nothingFlushed(log, rollback));
    for (const [chosen, damage, complaint] of [
      [unflushed, undefined, /^1\.3 runs, and not 1\.0/],
      [ofUpdate, indexLate, /^the accepted index is 0/],
      [ofUpdate, oldRemoved, /^without the new one: |^without the new one nothing runs/],
    ] as const) {
      const { bad } = await judgeAppCrashes(chosen, recorded, { ...at, most: 40, ...(damage && { damage }) });
      assert.ok(
        bad.some((one) => complaint.test(one)),
        `${damage?.name}: ${JSON.stringify(bad.slice(0, 10))}`,
      );
    }
  });
});
