// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Device, ReleaseOrder, ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import { bringRelease, followOrders, wantedRelease } from './bring-release.ts';

const signal = new AbortController().signal;
const order = (changes: Partial<ReleaseOrder>): ReleaseOrder => ({
  object: 'release-order',
  id: '1',
  device_id: 'd',
  group_id: null,
  group_order_id: null,
  release: '1.1',
  repository: null,
  state: 'waiting',
  reason: 'asked',
  sentence: 'Was told',
  bytes_fetched: null,
  bytes_to_fetch: null,
  created_at: '',
  changed_at: '',
  ended_at: null,
  etag: '',
  ...changes,
});
const end = (state: ReleaseOrder['state'], sentence = '') => order({ state, sentence, ended_at: 'now' });

/** A service whose order stands so, one look after the other; an error is thrown. */
function client(...looks: (ReleaseOrder | Error)[]): ServiceClient {
  return {
    releases: {
      order: () => Promise.resolve({ order: order({}) }),
      getOrder: () => {
        const next = looks.shift();
        return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
      },
    },
  } as unknown as ServiceClient;
}

const bring = async (...looks: (ReleaseOrder | Error)[]) => {
  const said: [number | undefined, string | undefined][] = [];
  const result = await bringRelease({
    client: client(...looks),
    device: { id: 'd', endpoint_name: 'board' } as Device,
    release: '1.1',
    signal,
    report: (fraction, what) => said.push([fraction, what]),
  });
  return { ...result, said };
};

test('an order is followed to its end, with the bytes that came', async () => {
  const loading = order({
    state: 'downloading',
    sentence: 'Downloads',
    bytes_fetched: 512,
    bytes_to_fetch: 1024,
  });
  const away = new MblError('service/unreachable', 'it starts anew');
  const { release, said } = await bring(loading, away, end('done', 'Runs 1.1'));
  assert.equal(release, '1.1');
  assert.deepEqual(said, [
    [0.5, 'Downloads (512 B of 1.0 KiB)'],
    [undefined, 'Runs 1.1'],
  ]);
});

test('what is no success says what it is', async () => {
  await assert.rejects(bring(end('fell-back', 'Went back: no sensor')), {
    code: 'cli/update-failed',
    message: /board does not run 1\.1: Went back: no sensor/,
  });
  await assert.rejects(bring(end('replaced')), { code: 'cli/update-replaced' });
  await assert.rejects(bring(new MblError('service/not-found', 'the order is gone')), {
    code: 'service/not-found',
  });
});

test('of several, as many have ended as have', async () => {
  const looks = [
    [end('done'), order({ id: '2' })],
    [end('done'), end('refused')],
  ];
  const said: (number | undefined)[] = [];
  const orders = await followOrders({
    look: () => Promise.resolve(looks.shift() ?? []),
    who: 'lab',
    signal,
    report: (fraction) => said.push(fraction),
  });
  assert.deepEqual(said, [0.5, 1]);
  assert.equal(orders.length, 2);
});

test('a release is named alone, or with the repository that has it', () => {
  assert.deepEqual(wantedRelease('1.1'), { release: '1.1' });
  assert.deepEqual(wantedRelease('#1.1'), { release: '1.1' });
  assert.deepEqual(wantedRelease('https://x/r/#1.1'), { release: '1.1', repository: 'https://x/r/' });
});
