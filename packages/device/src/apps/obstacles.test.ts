// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppResource } from '@mbl/formats';
import type { JudgedRelease } from './judge.ts';
import { obstacleOf } from './obstacles.ts';
import { appOf } from './testing/app-board.ts';

const resource = (path: string, change: Partial<AppResource> = {}): AppResource => ({
  path,
  type: 'float',
  operations: ['read'],
  ...change,
});

const release = (team: string, app: string, ...resources: AppResource[]): JudgedRelease => ({
  team,
  release: '1',
  rollbackIndex: 0,
  apps: [appOf(app, '1', { change: { resources } })],
});

const beside = (...holders: JudgedRelease[]) => ({
  policy: { rules: [] },
  unconfined: undefined,
  os: '1',
  others: holders,
  holders,
  capacity: 1 << 30,
  files: 1000,
  kept: 0,
});

test('an instance of an object is of the app that has it, whoever would register first', () => {
  const around = beside(release('weather', 'sensor', resource('/33500/0/1'), resource('/3303/2/5700')));
  for (const path of ['/33500/0/1', '/33500/0/2', '/3303/2/5701']) {
    const found = obstacleOf(release('spies', 'spy', resource('/33500/7/1'), resource(path)), around);
    assert.deepEqual([found?.state, found?.reason], ['waits', 'app/conflict'], path);
    assert.match(found?.detail ?? '', /^sensor of weather has the object \/\d+\/\d, as spy would$/);
  }
  assert.equal(obstacleOf(release('spies', 'spy', resource('/33500/1/1')), around), undefined);
});

test('a resource is the same in all instances of an object, or whoever is second would be refused', () => {
  const around = beside(
    release('weather', 'sensor', resource('/33500/0/1', { operations: ['write', 'read'] })),
  );
  for (const change of [{ type: 'string' }, { operations: ['read'] }] as const)
    assert.match(
      obstacleOf(
        release('spies', 'spy', resource('/33500/1/1', { operations: ['read', 'write'], ...change })),
        around,
      )?.detail ?? '',
      /^\/33500\/1\/1 is float \(read, write\) for another app, and (?:string|float) \(read(?:, write)?\) for spy$/,
    );
  const same = resource('/33500/1/1', { operations: ['read', 'write'] });
  assert.equal(obstacleOf(release('friends', 'friend', same), around), undefined);
});
