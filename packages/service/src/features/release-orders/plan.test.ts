// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type OrderFacts, planOrder } from './plan.ts';
import type { UpdateStatus } from './status.ts';

const order = (changes: Partial<OrderFacts> = {}): OrderFacts => ({
  release: '1.1',
  uri: '#1.1',
  asked: false,
  started: false,
  ...changes,
});
const says = (changes: Partial<UpdateStatus> = {}): UpdateStatus => ({
  state: 'idle',
  result: 0,
  uri: '',
  release: '',
  detail: '',
  reason: '',
  fetched: undefined,
  toFetch: undefined,
  ...changes,
});
const asked = { asked: true };
const started = { asked: true, started: true };

/** What comes of an order, in a word or two. */
function comes(facts: OrderFacts, status: UpdateStatus | undefined, running?: string): string {
  const plan = planOrder(facts, status, running);
  return `${plan.end ? 'ends' : plan.act}: ${plan.view.state} ${plan.view.reason}`;
}

test('an order goes its way by what the device says', () => {
  for (const [facts, status, expected] of [
    [order(), undefined, 'look: waiting device-starts'],
    [order(), says(), 'ask: waiting asked'],
    [order(asked), says({ state: 'downloading', uri: '#1.1' }), 'look: downloading downloading'],
    [order(asked), says({ state: 'downloaded', uri: '#1.1' }), 'start: downloaded downloaded'],
    [order(started), says({ state: 'updating', release: '1.1' }), 'look: trial trial'],
    [order(started), says({ result: 1, release: '1.1' }), 'ends: done done'],
    [
      order(started),
      says({ result: 8, release: '1.1', detail: 'no sensor' }),
      'ends: fell-back update/failed',
    ],
  ] as const)
    assert.equal(comes(facts, status), expected);
});

test('what was lost on the way is asked for again, and only that', () => {
  // The answer to the Package URI: it is at it already.
  assert.equal(comes(order(), says({ state: 'downloading', uri: '#1.1' })), 'look: downloading downloading');
  // The answer to Update: it is at that, or it is not.
  assert.equal(comes(order(started), says({ state: 'updating', release: '1.1' })), 'look: trial trial');
  assert.equal(
    comes(order(started), says({ state: 'downloaded', uri: '#1.1' })),
    'start: downloaded downloaded',
  );
  // Its client started anew: it has forgotten.
  assert.equal(comes(order(asked), says()), 'ask: waiting asked');
  assert.equal(comes(order(started), says({ result: 1, release: '1.0' })), 'ask: waiting asked');
});

test('what is from before the order is no answer to it', () => {
  // It fell back from 1.1, and is ordered there once more.
  assert.equal(comes(order(), says({ result: 8, release: '1.1' })), 'ask: waiting asked');
  assert.equal(comes(order(asked), says({ result: 8, release: '1.1' })), 'ask: waiting asked');
  // An order of the same URI failed before.
  assert.equal(comes(order(), says({ result: 5, uri: '#1.1' })), 'ask: waiting asked');
  // It brings, or tries, what was ordered before.
  assert.equal(comes(order(), says({ state: 'downloading', uri: '#1.0' })), 'ask: waiting asked');
  assert.equal(comes(order(), says({ state: 'downloaded', uri: '#1.0' })), 'ask: waiting asked');
  assert.equal(comes(order(), says({ state: 'updating', release: '1.0' })), 'look: waiting other-update');
  // It proved good once; what it runs now is another one.
  assert.equal(comes(order(), says({ result: 1, release: '1.1' }), '1.0'), 'ask: waiting asked');
});

test('a device that runs the release is left alone', () => {
  assert.equal(comes(order(), says(), '1.1'), 'ends: done already-there');
  assert.equal(comes(order(asked), says(), '1.1'), 'ask: waiting asked', 'unless it was asked');
});

test('a failure says why, in the device’s own word where it has one', () => {
  const failed = (result: number, more: Partial<UpdateStatus> = {}) =>
    comes(order(asked), says({ uri: '#1.1', result, ...more }));
  assert.equal(failed(4), 'ask-later: waiting update/mirror-unreachable');
  assert.equal(failed(5), 'ends: refused update/signature-invalid');
  assert.equal(failed(5, { reason: 'update/metadata-expired' }), 'ends: refused update/metadata-expired');
  assert.equal(failed(5, { reason: 'No <b>word</b>' }), 'ends: refused update/signature-invalid');
  assert.equal(failed(7), 'ends: refused update/bad-uri');
  assert.equal(failed(9), 'ends: refused update/unsupported-protocol');
  // In the session of its download no trial can have been.
  assert.equal(comes(order(started), says({ uri: '#1.1', result: 8 })), 'ends: failed update/failed');
  const plan = planOrder(order(asked), says({ uri: '#1.1', result: 5, detail: 'nobody signed it' }));
  assert.equal(plan.view.sentence, 'Did not install 1.1: nobody signed it');
});

test('an Update that failed ends the order, unless the reason passes', () => {
  const back = (reason: string) =>
    comes(order(started), says({ state: 'downloaded', uri: '#1.1', result: 8, reason, detail: 'so' }));
  assert.equal(back('update/metadata-expired'), 'ends: failed update/metadata-expired');
  assert.equal(back(''), 'ends: failed update/failed');
  assert.equal(back('update/not-proved'), 'start-later: downloaded update/not-proved');
  // It is of an order before this one.
  const found = says({ state: 'downloaded', uri: '#1.1', result: 8 });
  assert.equal(comes(order(asked), found), 'start: downloaded downloaded');
});

test('bytes are told once it is known how many there will be', () => {
  const view = (fetched: number, toFetch: number) =>
    planOrder(order(asked), says({ state: 'downloading', uri: '#1.1', fetched, toFetch })).view;
  assert.equal(view(10, 0).fetched, undefined);
  assert.deepEqual([view(10, 30).fetched, view(10, 30).toFetch], [10, 30]);
  const waits = says({ state: 'downloading', uri: '#1.1', reason: 'update/mirror-unreachable' });
  assert.equal(comes(order(asked), waits), 'look: downloading update/mirror-unreachable');
});

test('somebody else’s word to the device ends the order', () => {
  for (const state of ['downloading', 'downloaded'] as const)
    assert.equal(comes(order(asked), says({ state, uri: '#2' })), 'ends: failed replaced-on-device');
});

test('a device that tells no release is believed about its own URI', () => {
  assert.equal(comes(order(started), says({ result: 1 })), 'ends: done done');
  assert.equal(comes(order(started), says({ state: 'updating', uri: '#1.1' })), 'look: trial trial');
});
