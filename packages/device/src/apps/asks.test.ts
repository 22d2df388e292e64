// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type AppAnswer, type AppAsk, maxAppAnswer, parseAppAnswer } from '@mbl/formats';
import { TemporaryFolder } from '../testing/support.ts';
import { answerAll } from './ask-folder.ts';
import { answer, type AskOptions } from './asks.ts';
import { devicePlaces, pathsOf } from './places.ts';
import { AppBoard, paths } from './testing/app-board.ts';

/** A board with one app, and what is run on it. */
async function scene(outputs: Readonly<Record<string, { code?: number | undefined; output: string }>> = {}) {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: {} });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  board.device.put(
    paths.config('sensor'),
    JSON.stringify({
      process: { args: ['/bin/app'], cwd: '/srv' },
      linux: { devices: [{ path: '/dev/i2c-1', type: 'c' }] },
    }),
  );
  const ran: string[][] = [];
  const files: string[] = [];
  const options: AskOptions = {
    effects: board.device,
    paths,
    run: (command, args) => {
      ran.push([command, ...args]);
      const spec = args.find((one) => one.includes('/run-'));
      if (spec !== undefined) files.push(board.device.files.get(spec)?.text ?? '');
      return Promise.resolve({ code: 0, output: '', ...outputs[command] });
    },
  };
  const ask = (what: Omit<AppAsk, 'id'>) => answer({ id: '0123456789abcdef', ...what }, options);
  return { board, ran, files, ask };
}

/** As it comes over the bus. */
const fits = (found: AppAnswer | undefined): AppAnswer => {
  const text = JSON.stringify(found);
  assert.ok(text.length <= maxAppAnswer, String(text.length));
  return parseAppAnswer(text);
};

test('an app that is stopped stays so over restarts, until it is started', async () => {
  const { board, ran, ask } = await scene();
  assert.deepEqual(await ask({ action: 'stop', name: 'sensor' }), { id: '0123456789abcdef', error: '' });
  assert.deepEqual(ran, [['systemctl', 'stop', 'mbl-app-sensor.service']]);
  board.device.reboot();
  await board.run();
  assert.deepEqual(board.device.apps, []);
  await ask({ action: 'start', name: 'sensor' });
  board.device.reboot();
  await board.run();
  assert.deepEqual(board.device.apps, ['sensor weather/1']);
});

test('what systemd says of a failure is the answer, and nothing happens to what is no app', async () => {
  const { ran, ask } = await scene({ systemctl: { code: 1, output: 'Job failed.\nSee logs\n' } });
  assert.equal((await ask({ action: 'restart', name: 'sensor' }))?.error, 'Job failed.');
  ran.length = 0;
  for (const action of ['start', 'stop', 'restart', 'run'] as const)
    assert.match((await ask({ action, name: 'sshd' }))?.error ?? '', /no app sshd/);
  assert.deepEqual(ran, []);
});

test('a rollback is left to who judges releases', async () => {
  const { board, ran, ask } = await scene();
  assert.equal(await ask({ action: 'rollback', name: 'weather' }), undefined);
  assert.deepEqual(ran, [['systemctl', 'start', '--no-block', 'mbl-apps.service']]);
  await board.run();
  const text = board.device.files.get(paths.answer('0123456789abcdef'))?.text ?? '';
  assert.match(parseAppAnswer(text).error, /no release before/);
  assert.equal(board.device.files.has(paths.rollback('weather')), false);
});

const entry = (n: number, message: unknown) =>
  JSON.stringify({
    __CURSOR: `s=1;i=${n}`,
    __REALTIME_TIMESTAMP: String(1_700_000_000_000_000 + n * 1000),
    MESSAGE: message,
  });

test('lines of the log come with where the next ones begin, and never more than an answer holds', async () => {
  const lines = Array.from({ length: 200 }, (_, n) => entry(n, `${n} ${'x'.repeat(400)}`)).join('\n');
  const { ran, ask } = await scene({ journalctl: { output: `${lines}\n` } });
  const newest = fits(await ask({ action: 'log', name: 'sensor' }));
  assert.match(newest.log?.at(-1)?.text ?? '', /^199 /);
  assert.equal(newest.cursor, 's=1;i=199');
  const next = fits(await ask({ action: 'log', name: 'sensor', cursor: 's=1;i=-1', lines: 100 }));
  assert.match(next.log?.[0]?.text ?? '', /^0 /);
  // Whoever goes on from there misses nothing.
  assert.equal(next.cursor, `s=1;i=${(next.log?.length ?? 0) - 1}`);
  assert.deepEqual(
    ran.map((args) => args.slice(-3)),
    [
      ['--quiet', '--lines=200', '_SYSTEMD_UNIT=mbl-app-sensor.service'],
      ['--after-cursor=s=1;i=-1', '--lines=+100', '_SYSTEMD_UNIT=mbl-app-sensor.service'],
    ],
  );
});

test('a line that is no text, or none at all, does no harm', async () => {
  const output = [entry(1, [104, 105]), entry(2, null), 'not JSON', entry(3, 'a\u001b[31mb')].join('\n');
  const { ask } = await scene({ journalctl: { output } });
  const found = fits(await ask({ action: 'log', name: 'sensor' }));
  assert.deepEqual(
    found.log?.map(({ text }) => text),
    ['hi', '', 'a\u001b[31mb'],
  );
});

test("a command runs with the app's own rights, for its time, and its output is bounded", async () => {
  const { board, ran, files, ask } = await scene({
    'systemd-run': { code: 7, output: '\u0001'.repeat(8192) },
  });
  const found = fits(await ask({ action: 'run', name: 'sensor', command: ['/bin/ls', '$HOME'], timeout: 9 }));
  assert.equal(found.exit, 7);
  assert.deepEqual(
    files.map((text): unknown => JSON.parse(text)),
    [{ args: ['/bin/ls', '$HOME'], cwd: '/srv' }],
  );
  assert.deepEqual(ran[0], ['systemctl', 'is-active', 'mbl-app-sensor.service']);
  for (const property of ['RuntimeMaxSec=9', 'DevicePolicy=closed', 'DeviceAllow=/dev/i2c-1 rw'])
    assert.ok(ran[1]?.includes(`--property=${property}`), property);
  for (const limit of ['MemoryMax', 'TasksMax', 'CPUQuota', 'IOReadBandwidthMax', 'IOWriteBandwidthMax'])
    assert.ok(
      ran[1]?.some((word) => word.startsWith(`--property=${limit}=`)),
      limit,
    );
  assert.ok(!ran[1]?.some((word) => word.includes('/bin/ls')), 'no word of it goes through a command line');
  assert.deepEqual(
    (await board.device.list(paths.bundle('sensor'))).filter((name) => name.startsWith('run-')),
    [],
  );
});

test('a command for an app that does not run says so, and starts nothing', async () => {
  const { ran, ask } = await scene({ systemctl: { code: 3, output: 'inactive\n' } });
  const found = fits(await ask({ action: 'run', name: 'sensor', command: ['/bin/ls'] }));
  assert.deepEqual(
    [found.error, found.exit],
    ['sensor does not run: a program needs its container', undefined],
  );
  assert.deepEqual(
    ran.map(([program]) => program),
    ['systemctl'],
  );
});

test('asks are taken out of their folder and answered, and the newest answers are kept', async () => {
  using folder = new TemporaryFolder();
  const places = pathsOf({
    ...devicePlaces,
    data: folder.path,
    run: folder.path,
    units: folder.path,
    requests: folder.path,
  });
  mkdirSync(places.asks);
  mkdirSync(places.answers);
  const put = (name: string, text: string) => writeFileSync(join(places.asks, name), text);
  for (let n = 0; n < 12; n++)
    put(`${n}.json`, JSON.stringify({ id: n.toString(16).padStart(16, '0'), action: 'log', name: 'sensor' }));
  put('bad.json', '{');
  put('.half', 'half');
  mkdirSync(join(places.asks, 'folder'));
  const said: string[] = [];
  await answerAll({
    paths: places,
    effects: {
      read: (path) =>
        Promise.resolve(existsSync(path) && path.endsWith('.json') ? readFileSync(path, 'utf8') : undefined),
      write: (path, text) => Promise.resolve(writeFileSync(path, text)),
      remove: () => Promise.resolve(),
      size: () => Promise.resolve(undefined),
    },
    run: () => Promise.resolve({ code: 0, output: '' }),
    say: (line) => void said.push(line),
  });
  assert.deepEqual(readdirSync(places.asks), ['.half']);
  assert.equal(readdirSync(places.answers).length, 8);
  assert.equal(said.filter((line) => line.startsWith('refused')).length, 2);
});

test('a link in the place of the folder of asks leads nowhere, and goes', async () => {
  using folder = new TemporaryFolder();
  const places = pathsOf({
    ...devicePlaces,
    data: folder.path,
    run: folder.path,
    units: folder.path,
    requests: folder.path,
  });
  const others = join(folder.path, 'others');
  mkdirSync(others);
  writeFileSync(join(others, 'kept'), 'kept');
  symlinkSync(others, places.asks);
  const effects = {
    read: () => Promise.resolve(undefined),
    write: () => Promise.resolve(),
    remove: () => Promise.resolve(),
    size: () => Promise.resolve(undefined),
  };
  const run = () => Promise.resolve({ code: 0, output: '' });
  await answerAll({ paths: places, effects, run, say: () => undefined });
  assert.deepEqual(readdirSync(others), ['kept']);
  assert.deepEqual(readdirSync(folder.path), ['others']);
});
