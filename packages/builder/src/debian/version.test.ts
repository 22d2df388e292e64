// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareVersions } from './version.ts';

test('versions sort as Debian Policy §5.6.12 says', () => {
  const sorted = [
    '~~',
    '~~a',
    '~',
    '',
    '1.0~rc1-1',
    '1.0',
    '1.0-0.1',
    '1.0-1',
    '1.0-1+b1',
    '1.0-1.1',
    '1.0a-1',
    '1.0+dfsg-1',
    '1.9-1',
    '1.10-1',
    '2025.01-3',
    '2025.01-3.1',
    '2025.01-3.2',
    '2025.01-3.10',
    '2025.04~rc1-1',
    '99999999999999999999999998',
    '99999999999999999999999999',
    '1:0.1',
  ];
  for (const [i, a] of sorted.entries())
    for (const [j, b] of sorted.entries())
      assert.equal(Math.sign(compareVersions(a, b)), Math.sign(i - j), `${a} and ${b}`);
  for (const [a, b] of [
    ['1.0', '0:1.0'],
    ['1.0', '1.00'],
    ['1.0-0', '1.0'],
    ['1.007-1', '1.7-1'],
  ] as const)
    assert.equal(compareVersions(a, b), 0, `${a} and ${b}`);
});

test('dpkg agrees about every pair of versions', () => {
  const piece = fc.constantFrom(
    '0',
    '1',
    '2',
    '10',
    '00',
    'a',
    'B',
    'rc',
    '.',
    '+',
    '~',
    '~~',
    '+dfsg',
    '+b',
    '~deb13u',
  );
  const word = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join(''));
  const version = fc
    .tuple(fc.constantFrom('', '0:', '1:'), fc.nat(30), word, fc.option(word, { nil: undefined }))
    .map(([epoch, first, rest, revision]) => `${epoch}${first}${rest}${revision ? `-${revision}` : ''}`);
  const pairs = fc.sample(fc.tuple(version, version), 400);
  // One shell for all: a process each would take a minute.
  const script =
    'while read -r a b; do for o in lt eq gt; do dpkg --compare-versions "$a" "$o" "$b" && echo $o; done; done';
  const input = pairs.map((pair) => `${pair.join(' ')}\n`).join('');
  const { stdout } = spawnSync('sh', ['-c', script], { input, encoding: 'utf8' });
  const said = stdout.trim().split('\n');
  assert.equal(said.length, pairs.length);
  for (const [i, [a, b]] of pairs.entries()) {
    const ours = { [-1]: 'lt', 0: 'eq', 1: 'gt' }[Math.sign(compareVersions(a, b))];
    assert.equal(ours, said[i], `${a} and ${b}`);
  }
});
