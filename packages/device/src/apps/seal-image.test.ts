// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppBoard, paths } from './testing/app-board.ts';

test('whoever fetched an image and keeps it open to write does not keep its release away', async () => {
  const board = new AppBoard();
  board.release('weather', '1', { sensor: {}, display: {} });
  board.want({ weather: '1' });
  board.bring('weather', '1');
  const [app] = board.signed.get('weather/1')?.apps ?? [];
  assert.ok(app);
  const held = board.device.files.get(paths.image(app.image.sha256));
  assert.ok(held);
  held.held = true;
  // Longer than it was when it was looked at.
  const { size } = board.device;
  board.device.size = async (path) => {
    const found = await size(path);
    if (path.endsWith('.new') && board.device.files.get(path) === held) held.text += ' and more';
    return found;
  };
  await board.run();
  assert.equal((await board.status())['weather'], '1 1 running');
  assert.deepEqual(board.device.apps, ['display weather/1', 'sensor weather/1']);
  const installed = board.device.files.get(paths.installedImage(app.image.fsVerity));
  assert.notEqual(installed, held);
  assert.deepEqual([installed?.sealed, installed?.options.mode], [true, 0o640]);
});
