// SPDX-License-Identifier: Apache-2.0
//
// The disk is full from any effect of an update on: what ran runs, the reason is told, and with room the device comes to the release that is
// wanted, or tells why it does not.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isErrno } from '../common/files.ts';
import { parseChange } from './state.ts';
import { AppBoard, paths } from './testing/app-board.ts';

const old = ['display weather/1', 'sensor weather/1'];
const fresh = ['display weather/2', 'extra weather/2', 'sensor weather/2'];

/** `1` runs, `2` is ordered. */
async function ordered(): Promise<AppBoard> {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: {}, display: {} }, 1);
  board.want({ weather: '1' });
  board.bring('weather', '1');
  await board.run();
  board.device.put(`${paths.volume('sensor', 'state')}/data`, 'kept');
  board.release('weather', '2', { sensor: {}, display: {}, extra: {} }, 2);
  board.want({ weather: '2' });
  board.bring('weather', '2');
  return board;
}

const volumes = ({ device }: AppBoard) =>
  [...device.files.keys()].filter((path) => path.startsWith('/data/apps/volumes/')).toSorted();

const images = async ({ device }: AppBoard) => (await device.list(paths.images)).length;

describe('a disk that is full', () => {
  for (const forGood of [false, true])
    test(forGood ? 'whatever is removed' : 'until something is removed', async () => {
      const undisturbed = await ordered();
      const first = undisturbed.device.effects;
      const kept = volumes(undisturbed);
      await undisturbed.run();
      const count = undisturbed.device.effects - first;
      const ends = new Map<string, number>();
      for (let at = 0; at < count; at++) {
        const board = await ordered();
        const { device } = board;
        const journal = () => parseChange(device.files.get(paths.journal)?.text ?? '');
        device.fullForGood = forGood;
        device.fullAt = device.effects + at;
        const failed = await board.run().then(
          () => false,
          (error: unknown) => {
            assert.ok(isErrno(error, 'ENOSPC'), `${at}: ${String(error)}`);
            return true;
          },
        );
        const whole = device.apps.join() === fresh.join();
        // Once it is noted that the new one proved good, there is no way back.
        if (failed && journal()?.phase !== 'commit') assert.deepEqual(device.apps, old, `${at}: what ran`);
        else assert.ok(whole || device.apps.join() === old.join(), `${at}: ${device.apps.join()}`);
        if (!whole) assert.match((await board.status())['weather'] ?? '', /app\/no-room$/, `${at}: told`);
        assert.equal(device.files.get(`${paths.volume('sensor', 'state')}/data`)?.text, 'kept');
        device.fullAt = Number.POSITIVE_INFINITY;
        if (failed) await board.run();
        const status = (await board.status())['weather'] ?? '';
        ends.set(status, (ends.get(status) ?? 0) + 1);
        // Where not even the way back could be noted, the images that made room for it are missed when the install goes on.
        const lacking = forGood ? '(?:no-room|damaged)' : 'no-room';
        const wanted = new RegExp(`^2 (?:2 running|1 fell-back app/${lacking})$`);
        assert.match(status, wanted, `${at}: ${status}`);
        assert.deepEqual(device.apps, status.startsWith('2 2') ? fresh : old, `${at}: in the end`);
        assert.equal(journal(), undefined);
        assert.equal(await images(board), status.startsWith('2 2') ? 3 : 2, `${at}: images`);
        if (!status.startsWith('2 2')) assert.deepEqual(volumes(board), kept, `${at}: volumes`);
      }
      assert.equal(ends.size, 2, JSON.stringify([...ends]));
    });
});
