// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { AppBoard } from '../testing/app-board.ts';
import { AppRepository } from '../testing/app-repository.ts';
import { appStateOf, type UnitState } from './units.ts';

const runs: UnitState = {
  activeState: 'active',
  subState: 'running',
  since: 1_800_000_000_000,
  result: 'success',
  restarts: 2,
  memory: 4_000_000,
  code: 0,
  status: 0,
};

const written = (name: string, more: object = {}) => ({
  name,
  team: 'weather',
  release: '1.0',
  version: '1.0.3',
  reason: '',
  detail: '',
  ...more,
});

test('what the app manager wrote and what the system manager says make one document', async () => {
  using repository = await AppRepository.open();
  using board = new AppBoard(repository);
  const none = { version: 1, releases: [], apps: [] };
  assert.deepEqual(JSON.parse(await board.platform.getApps()), none);
  board.write('said/status.json', 'no JSON');
  assert.deepEqual(JSON.parse(await board.platform.getApps()), none);
  const release = {
    team: 'weather',
    release: '1.0',
    running: '1.0',
    state: 'running',
    reason: '',
    detail: '',
    fetched: 0,
    toFetch: 0,
  };
  board.write('said/status.json', {
    version: 1,
    releases: [release, { team: 'Nobody' }, 7],
    apps: [written('sensor'), written('display'), written('pump'), written('gone'), { name: '../etc' }],
  });
  for (const [app, count] of [
    ['sensor', '\n'],
    ['display', '3\n'],
    ['pump', '3\n'],
  ] as const) {
    mkdirSync(board.at('said', app));
    writeFileSync(board.at('said', app, 'failures'), count);
  }
  board.units.set('mbl-app-sensor.service', runs);
  board.units.set('mbl-app-display.service', runs);
  const killed = { ...runs, activeState: 'failed', result: 'oom-kill', memory: 0 };
  board.units.set('mbl-app-pump.service', killed);
  const { releases, apps } = JSON.parse(await board.platform.getApps()) as {
    releases: unknown[];
    apps: { name: string; state: string; reason: string; restarts: number; memory: number; since: number }[];
  };
  assert.deepEqual(releases, [release]);
  assert.deepEqual(
    apps.map(({ name, state, reason }) => [name, state, reason]),
    [
      ['sensor', 'running', ''],
      ['display', 'unhealthy', 'app/unhealthy'],
      ['pump', 'failed', 'app/out-of-memory'],
      ['gone', 'stopped', ''],
    ],
  );
  const [sensor] = apps;
  assert.deepEqual([sensor?.restarts, sensor?.memory, sensor?.since], [2, 4_000_000, 1_800_000_000_000]);
});

test('how a unit does says how its app does', () => {
  const state = (more: Partial<UnitState>) => {
    const { state: word, reason, detail } = appStateOf({ ...runs, ...more });
    return [word, reason, detail];
  };
  assert.deepEqual(state({}), ['running', '', '']);
  assert.deepEqual(state({ result: 'exit-code', status: 3 }), ['running', '', ''], 'it runs again');
  assert.deepEqual(state({ activeState: 'activating', subState: 'start' }), ['starting', '', '']);
  assert.deepEqual(
    state({ activeState: 'activating', subState: 'auto-restart', result: 'exit-code', code: 1, status: 3 }),
    ['restarting', 'app/ended', 'the program ended with status 3'],
  );
  const failed = (result: string, code = 2, status = 9) =>
    state({ activeState: 'failed', result, code, status });
  assert.deepEqual(failed('signal'), ['failed', 'app/killed', 'signal 9 ended the program']);
  assert.deepEqual(failed('core-dump', 3, 11), ['failed', 'app/killed', 'signal 11 ended the program']);
  assert.equal(failed('oom-kill')[1], 'app/out-of-memory');
  assert.equal(failed('timeout')[1], 'app/did-not-start');
  assert.equal(failed('resources')[1], 'app/did-not-start');
  assert.equal(failed('start-limit-hit')[1], 'app/ended');
  assert.deepEqual(state({ activeState: 'inactive', subState: 'dead' }), ['stopped', '', '']);
});

test('an order to an app is handed on whole, once and within bounds, and answers come back', async () => {
  using repository = await AppRepository.open();
  using board = new AppBoard(repository);
  const ask = (id: string) => JSON.stringify({ id, action: 'restart', name: 'sensor' });
  await board.platform.askApp({ ask: ask('0123456789abcdef') });
  assert.deepEqual(readdirSync(board.at('asked')).toSorted(), ['asks']);
  assert.deepEqual(JSON.parse(board.read('asked/asks/0123456789abcdef.json')), {
    id: '0123456789abcdef',
    action: 'restart',
    name: 'sensor',
  });
  await assert.rejects(board.platform.askApp({ ask: ask('../../etc/passwd') }), {
    code: 'formats/bad-app-ask',
  });
  for (let n = 1; n < 16; n++) await board.platform.askApp({ ask: ask(n.toString(16).padStart(16, '0')) });
  await assert.rejects(board.platform.askApp({ ask: ask('f'.repeat(16)) }), { code: 'device/too-many-asks' });
  // As after a restart of the service.
  rmSync(board.at('asked/asks'), { recursive: true });
  await board.platform.askApp({ ask: ask('f'.repeat(16)) });
  assert.deepEqual(readdirSync(board.at('asked/asks')), [`${'f'.repeat(16)}.json`]);

  assert.deepEqual(await board.platform.getAppAnswers(), []);
  for (let n = 0; n < 10; n++) {
    const name = `said/answers/${(9 - n).toString(16).padStart(16, '0')}.json`;
    board.write(name, { id: String(n), error: '' });
    utimesSync(board.at(name), n, n);
  }
  board.write('said/answers/.partial.new', '');
  const answers = await board.platform.getAppAnswers();
  assert.deepEqual(
    answers.map((one) => (JSON.parse(one) as { id: string }).id),
    ['2', '3', '4', '5', '6', '7', '8', '9'],
  );
});
