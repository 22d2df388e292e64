// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxDesiredApps, parseDesiredApps } from '@mbl/formats';
import { composeDesired, differs } from './desired.ts';
import { type AppFacts, planApps } from './plan.ts';
import { releaseStatus } from '../../testing/app-device.ts';

const row = (i: number, fields: { group_id?: string; repository?: string } = {}) => ({
  id: String(i).padStart(4, '0'),
  team: `team-${i}`,
  release: '1.0',
  repository: null,
  group_id: null,
  ...fields,
});

test('what does not fit into a document are the oldest orders of groups', () => {
  const own = Array.from({ length: 20 }, (_, i) => row(i));
  const groups = Array.from({ length: 20 }, (_, i) => row(100 + i, { group_id: 'g' }));
  const { text, leftOut } = composeDesired([...groups, ...own]);
  const { releases } = parseDesiredApps(text);
  assert.equal(releases.length, 32);
  assert.deepEqual(
    [...leftOut].toSorted(),
    Array.from({ length: 8 }, (_, i) => `team-${100 + i}`).toSorted(),
  );
  assert.equal(composeDesired([...own, ...groups].toReversed()).text, text, 'whatever their order');
  const long = Array.from({ length: 30 }, (_, i) => row(i, { repository: `https://x/${'r'.repeat(480)}` }));
  const bounded = composeDesired(long);
  assert.ok(bounded.text.length <= maxDesiredApps && bounded.leftOut.size > 0);
  parseDesiredApps(bounded.text);
});

test('documents that mean the same are the same', () => {
  const two = composeDesired([row(1), row(2)]).text;
  const { releases } = parseDesiredApps(two);
  assert.equal(differs(JSON.stringify({ releases: releases.toReversed(), version: 1 }), two), false);
  assert.equal(differs('', composeDesired([]).text), false, 'never told: none');
  assert.equal(differs('', two), true);
  assert.equal(differs('nonsense', composeDesired([]).text), true);
  assert.equal(differs(composeDesired([row(1)]).text, two), true);
});

test('what comes next follows from what is known', () => {
  const wanted = composeDesired([row(1)]).text;
  const facts: AppFacts = {
    ...{
      wanted,
      held: wanted,
      refused: undefined,
      observed: true,
      tells: true,
      unwritten: false,
      releases: [],
    },
  };
  const next = (changes: Partial<AppFacts>) => planApps({ ...facts, ...changes });
  assert.equal(next({ held: undefined, observed: false }), 'read');
  assert.equal(next({ held: '', observed: false }), 'write');
  assert.equal(next({ held: '', refused: wanted, observed: false }), 'observe', 'it tells of the others');
  assert.equal(next({ held: '', refused: wanted }), 'later');
  assert.equal(next({ held: '', refused: 'another' }), 'write');
  assert.equal(next({ observed: false }), 'observe');
  assert.equal(next({ unwritten: true }), 'store');
  assert.equal(next({}), 'rest');
  const fetching = [releaseStatus({ team: 'team-1', state: 'fetching' })];
  assert.equal(next({ releases: fetching }), 'rest', 'it tells what changes');
  assert.equal(next({ releases: fetching, tells: false }), 'look');
  assert.equal(next({ releases: [releaseStatus({ team: 'team-1' })], tells: false }), 'rest');
});
