// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type FirmwareEntry,
  foldFirmwareLog,
  formatFirmwareCounters,
  formatFirmwareLog,
  maxFirmwareCounter,
  parseFirmwareCounters,
  parseFirmwareLog,
} from './firmware-state.ts';

const entry = fc
  .tuple(fc.constantFrom('try', 'attempt', 'confirmed', 'failed', 'copied'), fc.constantFrom('a', 'b'))
  .map(([event, bank]) => ({ event, bank }) satisfies FirmwareEntry);
const erasedWord = 0xffff_ffff;
const area = (...words: Uint8Array[]): Buffer => {
  const bytes = Buffer.alloc(4096, 0xff);
  bytes.set(Buffer.concat(words));
  return bytes;
};
const log = (text: string): FirmwareEntry[] =>
  text.split(' ').map((word) => {
    const [event, bank] = word.split('-');
    return { event, bank } as FirmwareEntry;
  });

test('the words are those of firmware_state.c', () => {
  assert.equal(
    formatFirmwareLog(log('try-b attempt-b confirmed-b failed-a copied-a')).toString('hex'),
    ['0101fefe', '0102fefd', '0103fefc', '0004fffb', '0005fffa'].join(''),
  );
});

test('a log gives back what was written', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 200 }), (entries) => {
      assert.deepEqual(parseFirmwareLog(area(formatFirmwareLog(entries))), entries);
    }),
  );
});

test('a word that a power cut left half programmed says nothing, and hides nothing', () => {
  const whole = log('try-b attempt-b confirmed-b');
  fc.assert(
    fc.property(fc.nat(2), fc.nat(erasedWord - 1), (at, left) => {
      const bytes = area(formatFirmwareLog(whole));
      const word = bytes.readUInt32LE(at * 4);
      // Some of the bits that were to become 0 are still 1.
      const torn = (word | left) >>> 0;
      fc.pre(torn !== word && torn !== erasedWord);
      bytes.writeUInt32LE(torn, at * 4);
      assert.deepEqual(parseFirmwareLog(bytes), whole.toSpliced(at, 1));
    }),
  );
});

test('bytes of any origin are read', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      for (const { event, bank } of parseFirmwareLog(bytes))
        assert.match(`${event} ${bank}`, /^[a-z]+ [ab]$/);
    }),
  );
});

for (const [text, accepted, trial, attempts, failed] of [
  ['try-b', 'a', 'b', 0, ''],
  ['try-b attempt-b attempt-b', 'a', 'b', 2, ''],
  ['try-b attempt-b confirmed-b', 'b', undefined, 1, ''],
  ['try-b attempt-b attempt-b attempt-b failed-b', 'a', undefined, 3, 'b'],
  ['try-b attempt-b failed-b try-b', 'a', 'b', 0, ''],
  ['failed-a confirmed-b', 'b', undefined, 0, 'a'],
  ['failed-a failed-b confirmed-a', 'a', undefined, 0, 'b'],
  // What does not belong to the trial that is asked for changes nothing of it.
  ['try-b attempt-a failed-a', 'a', 'b', 0, 'a'],
  ['try-b confirmed-a', 'a', undefined, 0, ''],
  ['try-b attempt-b failed-b copied-b', 'a', undefined, 1, ''],
  ['try-b copied-b', 'a', 'b', 0, ''],
] as const)
  test(`a log says: ${text}`, () => {
    assert.deepEqual(foldFirmwareLog(log(text)), {
      accepted,
      trial,
      attempts,
      failed: { a: failed === 'a', b: failed === 'b' },
    });
  });

test('a counter is the steps that are used up, also the last one', () => {
  const none = { trusted: 0, nonTrusted: 0, os: 0 };
  assert.deepEqual(parseFirmwareCounters(Buffer.alloc(3 * 4096, 0xff)), none);
  for (const counters of [
    { trusted: 1, nonTrusted: 0, os: maxFirmwareCounter },
    { trusted: maxFirmwareCounter, nonTrusted: 2, os: 0 },
  ])
    assert.deepEqual(parseFirmwareCounters(formatFirmwareCounters(counters)), counters);
  const half = formatFirmwareCounters({ trusted: 2, nonTrusted: 0, os: 0 });
  half.writeUInt32LE(0xffff_0000, 8);
  assert.equal(parseFirmwareCounters(half).trusted, 3, 'a step that was begun is used up');
});
