// SPDX-License-Identifier: Apache-2.0
//
// A team's apps from the desk to a board: built, signed, published to the service, ordered there, fetched and judged by the board, run in a container, looked at and
// asked from afar; a new version in pieces, an image that somebody changed, the end.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Board } from '@mbl/lab';
import type { DeviceAppRelease } from '@mbl/service';
import { type AppTeam, appTeam } from './support/app-team.ts';
import { mblJson } from './support/mbl.ts';
import { bootTimeoutMs, online, openWorld, until, type World } from './support/world.ts';

const name = 'apps-board';
const teamName = 'weather';

describe('apps from the desk to a board', { timeout: 1_800_000 }, () => {
  let world: World;
  let board: Board;
  let team: AppTeam;
  let id = '';
  /** What both versions have, and nothing can compress. */
  const data = randomBytes(800_000);

  before(async () => {
    world = await openWorld();
    board = await world.board(name);
    const booting = board.start();
    booting.catch(() => undefined);
    team = await appTeam(teamName, world.directory);
    const lines = ['restart: { when: always, delay: 1 s }'];
    await team.release('1.0', lines, { data });
    await team.release('1.1', lines, { data });
    await mblJson(['release', 'publish', '--repository', team.repository, '--service', world.file.http], {
      environment: { MBL_API_KEY: world.file.apiKey },
      timeout: 240_000,
    });
    await booting;
    ({ id } = await online(world.client, name));
  });
  after(async () => await world[Symbol.asyncDispose]());

  const must = async (command: string): Promise<string> => {
    const { code, stdout, stderr } = await board.ssh(command, { timeoutMs: bootTimeoutMs });
    assert.equal(code, 0, `${command}: ${stdout}${stderr}`);
    return stdout.trim();
  };
  const active = async () => (await board.ssh('systemctl is-active mbl-app-sensor')).stdout.trim();
  const pid = async () => await must('systemctl show --value -p MainPID mbl-app-sensor');
  const version = async () => await must(`cat /proc/${await pid()}/root/version`);
  const sensor = async () => (await world.client.apps.ofDevice(id)).apps.find((one) => one.name === 'sensor');

  /** Orders a release, and waits for what comes of it; what the board wrote meanwhile is said when nothing does. */
  async function deploy(release: string): Promise<DeviceAppRelease> {
    await world.client.apps.order(id, teamName, { release });
    return await verdict(release);
  }
  async function verdict(release: string): Promise<DeviceAppRelease> {
    let last: DeviceAppRelease | undefined;
    try {
      return await until(
        `a verdict on ${release}`,
        async () => {
          last = (await world.client.apps.ofDevice(id)).releases.find((one) => one.team === teamName);
          const ended = ['running', 'fell-back', 'refused'].includes(last?.state ?? '');
          return ended && last?.reported_release === release && last;
        },
        bootTimeoutMs,
      );
    } catch (cause) {
      const { stdout } = await board.ssh('journalctl -b --no-pager | tail -100');
      throw new Error(`${String(cause)}: ${JSON.stringify(last)}\n${stdout}`, { cause });
    }
  }

  test('what its team signed runs on the board, with nothing but its own rights', async () => {
    const { state, running, sentence } = await deploy('1.0');
    assert.deepEqual([state, running], ['running', '1.0'], sentence);
    assert.equal(await version(), '1.0');
    assert.match(await must(`cat /proc/${await pid()}/status`), /^Uid:\t200000\t[^]*^CapEff:\t0+$/m);
    const app = await until(
      'it is shown',
      async () => ((found) => found?.state === 'running' && found)(await sensor()),
      bootTimeoutMs,
    );
    assert.deepEqual([app.team, app.release, app.version, app.restarts], [teamName, '1.0', '1.0', 0]);
    assert.ok(app.memory > 0, JSON.stringify(app));
  });

  test('what it writes is read from afar', async () => {
    const { log } = await world.client.apps.ask(id, 'sensor', 'log', { lines: 2 });
    assert.deepEqual(
      log?.map(({ text }) => text),
      ['beat', 'beat'],
    );
  });

  test('killed it starts again, and that is counted', async () => {
    const before = await pid();
    await must(`kill -9 ${before}`);
    const app = await until(
      'a restart',
      async () => ((found) => found?.state === 'running' && found.restarts > 0 && found)(await sensor()),
      bootTimeoutMs,
    );
    assert.equal(app.restarts, 1);
    assert.notEqual(await pid(), before);
  });

  test('the next version costs what is new in it', async () => {
    const { state, running, sentence } = await deploy('1.1');
    assert.deepEqual([state, running], ['running', '1.1'], sentence);
    assert.equal(await version(), '1.1');
    const brought = await must("journalctl -b -o cat -t mbl-cloud-client | grep 'apps handed on'");
    const [first, second] = brought.split('\n').map((line) => Number(/bytes=(\d+)/.exec(line)?.[1]));
    process.stdout.write(`      ${first} bytes for the first version, ${second} for the second\n`);
    assert.ok(first !== undefined && first > 800_000 && second !== undefined && second < 100_000, brought);
  });

  test('an image that somebody changed does not start; the board fetches the right one', async () => {
    // Another file under the same name: nobody writes into one that has fs-verity.
    const spoil = 'head -c 4096 /dev/zero >$f.x && tail -c +4097 $f >>$f.x && mv -f $f.x $f';
    await must(`for f in /data/apps/installed/images/*.erofs; do ${spoil}; done`);
    await board.ssh('systemctl restart mbl-app-sensor');
    assert.notEqual(await active(), 'active');
    // The app manager looks when it is told something, though it be the same.
    const [desired] = await world.client.read(id, '/33402/0/0');
    await world.client.write(id, '/33402/0/0', String(desired?.value));
    await until('the right image', async () => (await active()) === 'active', bootTimeoutMs);
    assert.equal((await verdict('1.1')).running, '1.1');
    assert.equal(await version(), '1.1');
  });

  test('a team that is not ordered any more leaves the board', async () => {
    await world.client.apps.end(id, teamName);
    await until('it is gone', async () => (await sensor()) === undefined, bootTimeoutMs);
    assert.equal(await active(), 'inactive');
    const left =
      'ls /data/apps/incoming /data/apps/installed/teams /data/apps/installed/images /data/apps/volumes | grep -v :$ || true';
    await until('nothing is left', async () => (await must(left)) === '', bootTimeoutMs);
  });
});
