// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Facts, without } from './facts.ts';

function facts(...entries: readonly (readonly [string, string, string, string?])[]): Facts {
  const all = new Facts();
  for (const entry of entries) all.add(...entry);
  return all;
}

test('facts that are the same differ in nothing', () => {
  const make = (): Facts => facts(['flash/bl2', 'content', 'x'], ['flash/bl2', 'size', '1']);
  assert.deepEqual(make().compare(make()), []);
});

test('another value with the same meaning is a signature, with another meaning content', () => {
  const a = facts(['c', 'signature', '1', 'a signature'], ['b', 'mode', '644']);
  const b = facts(['c', 'signature', '2', 'a signature'], ['b', 'mode', '755']);
  assert.deepEqual(a.compare(b), [
    { kind: 'content', place: 'b', aspect: 'mode', a: '644', b: '755' },
    { kind: 'signature', place: 'c', aspect: 'signature', a: '1', b: '2' },
  ]);
});

test('the same value with another meaning is content: a hash that fits here and not there', () => {
  const a = facts(['certificate', 'hash', 'abc', 'hash of bl2']);
  const b = facts(['certificate', 'hash', 'abc']);
  assert.deepEqual(
    a.compare(b).map(({ kind }) => kind),
    ['content'],
  );
});

test('a place that one lacks is named once, an aspect that one lacks is content', () => {
  const a = facts(['only', 'mode', '1'], ['only', 'size', '2'], ['both', 'target', 'x']);
  const b = facts(['both', 'size', '3'], ['other', 'size', '1']);
  assert.deepEqual(a.compare(b), [
    { kind: 'content', place: 'both', aspect: 'size', b: '3' },
    { kind: 'content', place: 'both', aspect: 'target', a: 'x' },
    { kind: 'only-a', place: 'only', aspect: 'presence' },
    { kind: 'only-b', place: 'other', aspect: 'presence' },
  ]);
});

test('bytes are taken out wherever they stand', () => {
  const bytes = Buffer.from('..key..key.');
  assert.equal(Buffer.from(without(bytes, Buffer.from('key'))).toString('latin1'), '..\0\0\0..\0\0\0.');
  assert.equal(without(bytes, Buffer.from('yes')), bytes);
  assert.equal(without(bytes, Buffer.alloc(0)), bytes);
});
