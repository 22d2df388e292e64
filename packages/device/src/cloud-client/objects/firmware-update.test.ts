// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, FakePlatform, KeptLog, TemporaryFolder } from '../../testing/support.ts';
import { noDeferrals } from '../ipc/deferrals.ts';
import { UpdateMemory } from '../update/memory.ts';
import { firmwareUpdateObject } from './firmware-update.ts';
import type { ObjectOptions } from './object.ts';

test('a client that stops goes on with no order, and keeps no package that is on its way', async () => {
  using folder = new TemporaryFolder();
  const platform = new FakePlatform();
  let asked = 0;
  platform.checkRelease = async () => {
    asked += 1;
    return await Promise.reject(new Error('the bus is gone'));
  };
  const start = async () => {
    const stop = new AbortController();
    const { instances } = firmwareUpdateObject({
      platform,
      repository: { open: () => ({ release: '1.1' }) },
      updates: await UpdateMemory.load(folder.path),
      packages: join(folder.path, 'packages'),
      orders: { serve: () => undefined, changed: () => undefined },
      deferrals: noDeferrals,
      stopped: stop.signal,
      log: new KeptLog().log,
      now: Date.now,
    } as unknown as ObjectOptions);
    const [update] = instances;
    assert.ok(update);
    return { stop, update };
  };
  const pulls = await start();
  await pulls.update.write?.(1, 'http://127.0.0.1/mirror#1.1');
  await eventually(() => asked > 0);
  pulls.stop.abort();
  const before = asked;
  const pushed = await start();
  const sink = pushed.update.stream?.(0, undefined);
  await sink?.write(new Uint8Array(16));
  const left = () => readdirSync(join(folder.path, 'packages'));
  assert.equal(left().length, 1);
  pushed.stop.abort();
  await eventually(() => left().length === 0);
  await delay(2500);
  assert.equal(asked, before);
});
