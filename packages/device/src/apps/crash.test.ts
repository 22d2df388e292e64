// SPDX-License-Identifier: Apache-2.0
//
// The power goes after every single effect of a change, or the manager alone ends there: the run after it comes to the same end as one that
// nothing disturbed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AppBoard, paths } from './testing/app-board.ts';
import { PowerCut } from './testing/fake-device.ts';

/** Of the manager's own ends one of so many is tried; 1 tries all. */
const managerStep = Number(process.env['MBL_APP_CUTS'] ?? 5);

interface Scenario {
  readonly title: string;
  /** What is there before; the last thing it does is the order. */
  readonly prepare: (board: AppBoard) => Promise<void>;
  /** What somebody does once more whose order was only in memory, where nothing of it was written down. */
  readonly again?: (board: AppBoard) => void;
  readonly apps: readonly string[];
  readonly status: string;
}

const before = async (board: AppBoard): Promise<void> => {
  board.release('other', '7', { clock: {} });
  board.release('weather', '1', { sensor: {}, display: {}, old: {} }, 1);
  board.want({ other: '7', weather: '1' });
  board.bring('other', '7');
  board.bring('weather', '1');
  await board.run();
  board.device.put(`${paths.volume('sensor', 'state')}/data`, 'kept');
  assert.equal(board.device.apps.length, 4);
};

const order = (board: AppBoard, release: string) => {
  board.want({ other: '7', weather: release });
  board.bring('weather', release);
};

const old = ['clock other/7', 'display weather/1', 'old weather/1', 'sensor weather/1'];

const scenarios: readonly Scenario[] = [
  {
    title: 'a first install',
    prepare: async (board) => {
      board.release('weather', '1', { sensor: {}, display: {} });
      board.want({ weather: '1' });
      board.bring('weather', '1');
      await Promise.resolve();
    },
    apps: ['display weather/1', 'sensor weather/1'],
    status: '1 1 running',
  },
  {
    title: 'an update that takes an app away and brings one',
    prepare: async (board) => {
      await before(board);
      board.release('weather', '2', { sensor: {}, display: { content: 'display weather/1' }, fresh: {} }, 2);
      order(board, '2');
    },
    apps: ['clock other/7', 'display weather/2', 'fresh weather/2', 'sensor weather/2'],
    status: '2 2 running',
  },
  {
    title: 'an update of which one app cannot be started',
    prepare: async (board) => {
      await before(board);
      board.release('weather', '2', { sensor: {}, display: { behaviour: 'broken' }, fresh: {} }, 2);
      order(board, '2');
    },
    apps: old,
    status: '2 1 fell-back app/did-not-start',
  },
  {
    title: 'an update of which one app ends at once',
    prepare: async (board) => {
      await before(board);
      board.release('weather', '2', { sensor: { behaviour: 'crashes' }, display: {}, fresh: {} }, 2);
      order(board, '2');
    },
    apps: old,
    status: '2 1 fell-back app/ended',
  },
  {
    title: 'an update of which one app is never healthy',
    prepare: async (board) => {
      await before(board);
      board.release('weather', '2', { sensor: { behaviour: 'sick' }, display: {} }, 2);
      order(board, '2');
    },
    apps: old,
    status: '2 1 fell-back app/unhealthy',
  },
  {
    title: 'an update with another image than the one that was signed',
    prepare: async (board) => {
      await before(board);
      board.release('weather', '2', { sensor: {}, display: {} }, 2);
      order(board, '2');
      const sha256 = board.signed.get('weather/2')?.apps[1]?.image.sha256 ?? '';
      board.device.put(paths.image(sha256), 'display weather/!');
    },
    apps: old,
    status: '2 1 fell-back app/damaged',
  },
  {
    title: 'an update of which a client left half an image, and no more comes',
    prepare: async (board) => {
      await before(board);
      board.release('weather', '2', { sensor: {}, display: {} }, 2);
      order(board, '2');
      const sha256 = board.signed.get('weather/2')?.apps[1]?.image.sha256 ?? '';
      board.device.put(paths.image(sha256), 'display ');
    },
    apps: old,
    status: '2 1 waits',
  },
  {
    title: 'a removal',
    prepare: async (board) => {
      await before(board);
      board.want({ other: '7' });
    },
    apps: ['clock other/7'],
    status: '',
  },
  {
    title: 'a rollback',
    prepare: async (board) => {
      await before(board);
      board.release('weather', '2', { sensor: {}, display: {} }, 1);
      order(board, '2');
      await board.run();
      board.device.put(paths.rollback('weather'), '0123456789abcdef');
    },
    again: (board) => {
      const state = board.device.files.get(paths.teamState('weather'))?.text ?? '';
      if (!board.device.files.has(paths.journal) && state.includes('"current":"2"'))
        board.device.put(paths.rollback('weather'), '0123456789abcdef');
    },
    apps: old,
    status: '2 1 fell-back app/replaced',
  },
  {
    title: 'an update after an update',
    prepare: async (board) => {
      await before(board);
      board.release('weather', '2', { sensor: {} }, 2);
      order(board, '2');
      await board.run();
      board.release('weather', '3', { sensor: {} }, 2);
      order(board, '3');
    },
    apps: ['clock other/7', 'sensor weather/3'],
    status: '3 3 running',
  },
];

async function end(board: AppBoard, { apps, status, title }: Scenario, at: string): Promise<void> {
  assert.deepEqual(board.device.apps, apps, `${title}, ${at}`);
  assert.equal((await board.status())['weather'] ?? '', status, `${title}, ${at}`);
  assert.equal(await board.device.read(paths.journal), undefined, at);
}

describe('a change of what is installed', () => {
  for (const scenario of scenarios)
    for (const kind of ['power', 'manager'] as const)
      test(`${scenario.title}, cut off everywhere: the ${kind} goes`, async () => {
        const undisturbed = new AppBoard();
        await scenario.prepare(undisturbed);
        const first = undisturbed.device.effects;
        await undisturbed.run();
        await end(undisturbed, scenario, 'undisturbed');
        const count = undisturbed.device.effects - first;
        assert.ok(count > 10);
        const whole = undisturbed.snapshot;
        for (let cut = 0; cut < count; cut += kind === 'power' ? 1 : managerStep) {
          const board = new AppBoard();
          await scenario.prepare(board);
          board.device.cutAt = board.device.effects + cut;
          await assert.rejects(board.run(), PowerCut);
          const clock = board.device.running.get('mbl-app-clock.service');
          board.device.cutAt = Number.POSITIVE_INFINITY;
          if (kind === 'power') {
            board.device.reboot();
            scenario.again?.(board);
          }
          await board.run();
          await end(board, scenario, `${kind}, cut ${cut}`);
          assert.deepEqual(board.snapshot, whole, `${kind}, cut ${cut}`);
          // Its own end touches nobody else.
          if (kind === 'manager') assert.equal(board.device.running.get('mbl-app-clock.service'), clock);
        }
      });
});

test('what a power cut left of files that were being written goes, and nothing else', async () => {
  const board = new AppBoard();
  await before(board);
  const { device } = board;
  const whole = board.snapshot;
  const places = [paths.journal, paths.slots, paths.acceptedBy('weather'), paths.stoppedApp('sensor')];
  const ofTeam = [paths.teamState('weather'), paths.release('weather', '2')];
  for (const path of [...places, ...ofTeam]) {
    const at = path.lastIndexOf('/') + 1;
    device.put(`${path.slice(0, at)}.${path.slice(at)}.new`, '{"ver');
  }
  device.reboot();
  await board.run();
  assert.deepEqual(board.snapshot, whole);
  assert.deepEqual(device.apps, old);
});

test('what somebody is writing stays: an order to stop an app comes beside a run that changes something', async () => {
  const board = new AppBoard();
  await before(board);
  const draft = paths.stoppedApp('.sensor.new');
  board.device.put(draft, '');
  order(board, '7');
  board.release('weather', '7', { sensor: {} }, 7);
  board.bring('weather', '7');
  await board.run();
  assert.deepEqual(board.device.apps, ['clock other/7', 'sensor weather/7']);
  assert.equal(board.device.files.has(draft), true);
  board.device.reboot();
  await board.run();
  assert.equal(board.device.files.has(draft), false);
});

test('a release that takes the device down with it is tried three times', async () => {
  const board = new AppBoard();
  await before(board);
  board.release('weather', '2', { sensor: {}, display: {} }, 2);
  order(board, '2');
  const { device } = board;
  const { start } = device;
  let tries = 0;
  device.start = (units) => {
    if (device.units.get(units[0] ?? '')?.release === '2') {
      tries++;
      device.cutAt = device.effects;
      throw new PowerCut();
    }
    return start(units);
  };
  for (let boots = 0; boots < 3; boots++) {
    await board.run().catch((error: unknown) => assert.ok(error instanceof PowerCut));
    device.reboot();
  }
  await board.run();
  assert.equal(tries, 3);
  assert.deepEqual(device.apps, old);
  assert.equal((await board.status())['weather'], '2 1 fell-back app/did-not-start');
});
