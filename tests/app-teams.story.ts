// SPDX-License-Identifier: Apache-2.0
//
// Three teams and the operating system on one board, each at its own pace: ordered at once, none waits for another or breaks it; what needs an operating system
// that is not there waits for it; a release of three apps of which one fails changes nothing; the restart into a new operating system finds a
// release half done. What counts is which process runs, from which image.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Board } from '@mbl/lab';
import type { DeviceAppRelease } from '@mbl/service';
import { must, Team } from './support/apps/team.ts';
import { mblJson } from './support/mbl.ts';
import { Mirror } from './support/mirror.ts';
import { bootTimeoutMs, imageOf, online, openWorld, until, type World } from './support/world.ts';

const limit = 1_800_000;
const name = 'teams';
const three = ['sensor', 'display', 'logger'] as const;
const health = (failures: number, command: string) =>
  `health: { command: [/bin/ticker, ${command}], interval: 1 s, timeout: 20 s, failures: ${failures}, grace: 1 s }`;

describe('teams and the operating system on one board', { timeout: limit }, () => {
  const stack = new AsyncDisposableStack();
  let world: World;
  let board: Board;
  let mirror: Mirror;
  let id = '';
  const teams = new Map<string, Team>();
  /** The process of the app that nobody touches, until the restart. */
  let tuner = '';

  before(async () => {
    world = stack.use(await openWorld());
    board = await world.board(name);
    const booting = board.start();
    booting.catch(() => undefined);
    const [next] = await Promise.all([nextSystem(), makeReleases()]);
    await systemRelease('1.0', await imageOf('development'), 0);
    await systemRelease('2.0', next, 1);
    mirror = stack.use(await Mirror.serve(join(world.directory, 'repository')));
    await booting;
    ({ id } = await online(world.client, name));
  });
  after(async () => await stack.disposeAsync());

  /** An operating system 2.0 that does not call itself healthy before the story lets it. */
  async function nextSystem(): Promise<string> {
    const layer = join(world.directory, 'layer');
    const check = join(layer, 'next/etc/mbl/health.d/10-story');
    await mkdir(join(check, '..'), { recursive: true });
    await mkdir(join(layer, 'images'));
    await writeFile(join(layer, 'layer.yaml'), 'name: teams\nimages: images\n');
    const image = 'extends: development\ntitle: Next\nversion: "2.0"\nfiles: [../next]\n';
    await writeFile(join(layer, 'images/next.yaml'), image);
    await writeFile(check, '#!/bin/sh\n[ -e /run/story-is-content ]\n', { mode: 0o755 });
    const words = ['build', '--image', 'next', '--layer', layer];
    return (await mblJson<{ directory: string }>(words, { timeout: limit })).directory;
  }

  async function systemRelease(version: string, image: string, index: number): Promise<void> {
    const repository = ['--repository', join(world.directory, 'repository')];
    const options = ['--rollback-index', String(index), '--level', '1', ...repository];
    await mblJson(['release', 'create', version, image, ...options], { timeout: limit });
    await mblJson(['release', 'sign', ...repository], { timeout: limit });
  }

  async function makeReleases(): Promise<void> {
    const team = (of: string): Team => {
      const made = new Team(of, world.directory);
      teams.set(of, made);
      return made;
    };
    const same = (release: string) => ({ sensor: { as: release }, logger: { as: release } });
    const weather = team('weather');
    await weather.stage('1.0', { sensor: {}, display: { lines: ['after: [sensor]'] }, logger: {} });
    await weather.stage('1.1', { sensor: {}, display: {}, logger: {} });
    await weather.stage('1.3', { ...same('1.1'), display: { lines: [health(2, 'end')] } });
    await weather.stage('1.4', { ...same('1.1'), display: {} });
    // Healthy as soon as nothing in its volume says that it is sick; until then for a long time on trial.
    await weather.stage('1.5', { ...same('1.1'), display: { lines: [health(100, 'check')] } });
    await weather.sign();
    const radio = team('radio');
    await radio.release('1.0', { tuner: {} });
    const lab = team('lab');
    await lab.stage('2.0', { probe: { lines: ['os: "2.0"'] } });
    await lab.stage('9.0', { probe: { lines: ['os: "9.0"'] } });
    await lab.sign();
  }

  const order = async (team: string, release: string) =>
    await world.client.apps.order(id, team, { release, repository: mirror.url });

  /** Waits until what the service says of the team's order will do; what the board wrote is said when it does not come. */
  async function says(
    team: string,
    release: string,
    will: (now: DeviceAppRelease) => boolean,
  ): Promise<DeviceAppRelease> {
    let last: DeviceAppRelease | undefined;
    try {
      return await until(
        `a word on ${team} ${release}`,
        async () => {
          last = (await world.client.apps.ofDevice(id)).releases.find((one) => one.team === team);
          return last?.reported_release === release && will(last) && last;
        },
        2 * bootTimeoutMs,
      );
    } catch (cause) {
      const { stdout } = await board.ssh('journalctl -b --no-pager | tail -100');
      throw new Error(`${String(cause)}: ${JSON.stringify(last)}\n${stdout}`, { cause });
    }
  }
  const verdicts = ['running', 'fell-back', 'refused'];
  const verdict = async (team: string, release: string) =>
    await says(team, release, ({ state }) => verdicts.includes(state ?? ''));
  /** It waits, and says for what. */
  const waits = async (team: string, release: string, why: string) =>
    await says(
      team,
      release,
      ({ state, reason }) => (state === 'waits' && reason === why) || verdicts.includes(state ?? ''),
    );
  const runs = async (team: string, release: string): Promise<void> => {
    const { state, running, sentence } = await verdict(team, release);
    assert.deepEqual([state, running], ['running', release], sentence);
  };

  /** Of each app its process, and the version that its own file system names. */
  async function processes(...apps: readonly string[]): Promise<Record<string, readonly [string, string]>> {
    const script = `for app in ${apps.join(' ')}; do pid=$(systemctl show --value -p MainPID mbl-app-$app); echo "$app $pid $(cat /proc/$pid/root/version 2>/dev/null)"; done`;
    const lines = (await must(board, script)).split('\n').map((line) => line.split(' '));
    return Object.fromEntries(
      lines.map(([app = '', pid = '', said = '', is = '']) => [app, [pid, `${said} ${is}`]]),
    );
  }

  /** Each app runs, from the image that its team signed for that release: the kernel measures it, and its own file system names it. */
  async function areProcesses(team: string, release: string) {
    const built = teams.get(team)?.built(release) ?? [];
    const found = await processes(...built.map(({ app }) => app.name));
    for (const { app } of built) {
      assert.equal(found[app.name]?.[1], `${app.name} ${app.release}`);
      const { fsVerity } = app.image;
      const image = `/data/apps/installed/images/${fsVerity}.erofs`;
      assert.equal(await must(board, `/usr/lib/mbl/mbl-native verity measure ${image}`), fsVerity);
    }
    return found;
  }
  const same = async (): Promise<void> => assert.equal((await processes('tuner'))['tuner']?.[0], tuner);

  async function dataIsThere(): Promise<void> {
    for (const app of [...three, 'tuner'])
      assert.equal(await must(board, `cat /data/apps/volumes/${app}/state/kept`), app);
  }

  test('two teams that order in the same second both get what they ordered', async () => {
    await Promise.all([order('weather', '1.0'), order('radio', '1.0')]);
    await Promise.all([runs('weather', '1.0'), runs('radio', '1.0')]);
    await areProcesses('weather', '1.0');
    tuner = (await areProcesses('radio', '1.0'))['tuner']?.[0] ?? '';
    assert.match(tuner, /^[1-9]/);
    for (const app of [...three, 'tuner'])
      await must(board, `printf ${app} >/data/apps/volumes/${app}/state/kept`);
  });

  test('an image that is not the signed one: nothing of the three is touched', async () => {
    const before = await processes(...three);
    // From here on the app manager is started by nobody, and does not run.
    const rests = '[ "$(systemctl is-active mbl-apps)" = inactive ]';
    await must(board, `systemctl stop mbl-apps.path && until ${rests}; do sleep 1; done`);
    await order('weather', '1.1');
    const file = '/data/apps/orders/weather.json';
    await until(
      'the order is handed on',
      async () => (await board.ssh(`grep -q '"release":"1.1"' ${file}`)).code === 0,
      2 * bootTimeoutMs,
    );
    const logger = teams
      .get('weather')
      ?.built('1.1')
      .find(({ app }) => app.name === 'logger')?.app.image;
    const image = `/data/apps/incoming/${logger?.sha256}.erofs`;
    await must(
      board,
      `printf x | dd of=${image} bs=1 seek=1100 conv=notrunc 2>/dev/null && systemctl start mbl-apps.path`,
    );
    const { running, reason, sentence } = await verdict('weather', '1.1');
    assert.deepEqual([running, reason], ['1.0', 'app/damaged']);
    assert.match(sentence, /the image of logger .*not the one that was signed/);
    assert.deepEqual(await processes(...three), before);
    await same();
    await dataIsThere();
  });

  test('one that is never healthy: all three are back as they were', async () => {
    await order('weather', '1.3');
    const { running, reason, sentence } = await verdict('weather', '1.3');
    assert.deepEqual([running, reason], ['1.0', 'app/unhealthy']);
    assert.match(sentence, /the health command of display failed 2 times/);
    await until(
      'all three run',
      async () => Object.values(await processes(...three)).every(([pid]) => pid !== '0'),
      bootTimeoutMs,
    );
    await areProcesses('weather', '1.0');
    await same();
    await dataIsThere();
  });

  test('a release that needs an operating system that is not there waits, says so, gives way, and can be taken back', async () => {
    await order('lab', '9.0');
    await waits('lab', '9.0', 'app/needs-os');
    await order('lab', '2.0');
    const told = await waits('lab', '2.0', 'app/needs-os');
    assert.match(
      `${told.state} ${told.reason}: ${told.sentence}`,
      /^waits app\/needs-os: probe needs version 2\.0 of the operating system, and [\d.]+ runs$/,
    );
    await world.client.apps.end(id, 'lab');
    const left = 'ls /data/apps/incoming /data/apps/orders | grep -e erofs -e lab || true';
    await until('nothing of it is left', async () => (await must(board, left)) === '', bootTimeoutMs);
    await order('lab', '2.0');
    await same();
  });

  test('an app release ships while an update of the operating system comes', async () => {
    // All that the slots are filled from; what the release is, is told.
    mirror.held = /\/targets\/os\/(?!releases\/)/;
    await Promise.all([
      world.client.releases.order(id, { release: '2.0', repository: mirror.url }),
      order('weather', '1.4'),
    ]);
    await runs('weather', '1.4');
    await until('the update is under way', () => Promise.resolve(mirror.waiting > 0), bootTimeoutMs);
    await areProcesses('weather', '1.4');
    await same();
    await must(board, 'touch /data/apps/volumes/display/state/sick');
    await order('weather', '1.5');
    await says('weather', '1.5', ({ state }) => state === 'trying' || verdicts.includes(state ?? ''));
  });

  test('the restart finds a release half done: what ran before it runs while the new system is on trial', async () => {
    const boot = async () =>
      (await board.ssh('cat /proc/sys/kernel/random/boot_id').catch(() => ({ stdout: '' }))).stdout.trim();
    await until(
      'the new release runs',
      async () => (await processes('display'))['display']?.[1] === 'display 1.5',
      bootTimeoutMs,
    );
    const first = await boot();
    mirror.letGo();
    await until(
      'another boot',
      async () => {
        const now = await boot();
        if (now !== first) return now !== '';
        const found = await board.ssh('systemctl show --value -p MainPID mbl-app-tuner');
        // As the board goes down it ends.
        if (found.code === 0 && found.stdout.trim() !== '0') assert.equal(found.stdout.trim(), tuner);
        return false;
      },
      2 * bootTimeoutMs,
    );
    const { running, reason } = await waits('weather', '1.5', 'app/os-on-trial');
    assert.deepEqual([running, reason], ['1.4', 'app/os-on-trial']);
    assert.equal((await waits('lab', '2.0', 'app/os-on-trial')).reason, 'app/os-on-trial');
    assert.match(await must(board, 'cat /etc/mbl/image.json'), /"root": *\{\s*"version": "2\.0\+/);
    await until(
      'what was built for the old system runs',
      async () => Object.values(await processes(...three, 'tuner')).every(([pid]) => pid !== '0'),
      bootTimeoutMs,
    );
    await areProcesses('weather', '1.4');
    await areProcesses('radio', '1.0');
    await dataIsThere();
  });

  test('both go on by themselves once the new system proved good', async () => {
    await must(board, 'rm /data/apps/volumes/display/state/sick && touch /run/story-is-content');
    await runs('weather', '1.5');
    await runs('lab', '2.0');
    await areProcesses('weather', '1.5');
    await areProcesses('lab', '2.0');
    await areProcesses('radio', '1.0');
    // It counts its own starts: nothing but the restart ended it.
    assert.equal(await must(board, 'cat /data/apps/volumes/tuner/state/starts'), '2');
    await dataIsThere();
    const { order: last } = await until(
      'the order of the system has ended',
      async () =>
        ((now) => typeof now.order?.ended_at === 'string' && now)(await world.client.releases.ofDevice(id)),
      bootTimeoutMs,
    );
    assert.deepEqual([last?.release, last?.state], ['2.0', 'done']);
  });
});
