// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '../../infra/database.ts';
import { idSource } from '../../infra/ids.ts';
import { silentLog } from '../../infra/log.ts';
import type { Schema } from '../../schema.ts';
import { enrol } from '../../testing/device.ts';
import { TestRepository } from '../../testing/repository.ts';
import { TestService } from '../../testing/service.ts';
import { EventRecorder } from '../device-events/recorder.ts';
import type { ReleaseOrder } from './model.ts';
import { ReleaseOrders } from './orders.ts';

test('orders that ended long ago go, but the last one of a device', { timeout: 240_000 }, async () => {
  await using repository = await TestRepository.open();
  for (const name of ['1.1', '1.2']) await repository.release(name);
  await using service = await TestService.start({ releases: repository.folder });
  await using database = openDatabase<Schema>(String(service.options.databaseUrl));
  const { id: accountId } = await database.db.selectFrom('accounts').select('id').executeTakeFirstOrThrow();
  let at = Date.now();
  const context = { db: database.db, accountId, now: () => at, newId: idSource(() => at), log: silentLog };
  const orders = new ReleaseOrders(context, new EventRecorder(context, () => {}));
  const { deviceId } = await enrol(service, 'long-ago');
  for (const release of ['1.1', '1.2']) {
    const { status } = await service.call('PUT', `/v3/devices/${deviceId}/release`, { release });
    assert.equal(status, 200);
    assert.equal((await service.call('DELETE', `/v3/devices/${deviceId}/release`)).status, 200);
  }
  const releases = async () =>
    (await service.get(`/v3/release-orders?device_id__eq=${deviceId}`)).body.data.map(
      (one: ReleaseOrder) => one.release,
    );
  await database.pool.query('update release_orders set recall = false where device_id = $1', [deviceId]);
  await orders.prune();
  assert.equal((await releases()).length, 2);
  at += 100 * 86_400_000;
  await orders.prune();
  assert.deepEqual(await releases(), ['1.2']);
});
