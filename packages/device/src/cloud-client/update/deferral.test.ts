// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../testing/support.ts';
import { updating } from '../../testing/updating.ts';

test('an app has a restart wait, as long as the owner lets it', async (t) => {
  const { updater, platform, memory, uri, defer, kept } = await updating(t);
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  defer({ app: 'pump', reason: 'the tank is half full' });
  const installed = updater.install();
  await kept.until(/^restart waits for=pump reason="the tank is half full"/, 1, 60_000);
  assert.equal(updater.status.detail, 'the app pump asks to wait: the tank is half full');
  assert.throws(() => updater.begin(uri), { code: 'device/updating' });
  assert.equal(platform.reboots, 0);
  // The owner has had enough of it.
  await memory.keep({ longestDeferral: 0 });
  await installed;
  assert.equal(platform.reboots, 1);
  assert.equal(updater.status.detail, '');
});

test('a restart waits no longer than the app asks for', async (t) => {
  const { updater, platform, uri, defer, kept } = await updating(t);
  void updater.begin(uri);
  await eventually(() => updater.status.state === 'downloaded', 60_000);
  defer({ app: 'pump', reason: '' });
  const installed = updater.install();
  await kept.until(/^restart waits for=pump/, 1, 60_000);
  defer(undefined);
  await installed;
  assert.equal(platform.reboots, 1);
});
