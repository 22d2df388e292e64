// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConsoleLogReader, ConsoleLogWriter } from './console-log.ts';

const now = new Date('2026-01-02T03:04:05.678Z');

function logOf(...chunks: (string | Uint8Array)[]): string {
  const writer = new ConsoleLogWriter();
  return chunks.map((chunk) => writer.write(Buffer.from(chunk as string), now)).join('');
}

test('every line starts with the time of its first byte', () => {
  const writer = new ConsoleLogWriter();
  const later = new Date(now.getTime() + 1000);
  assert.equal(
    writer.write(Buffer.from('one\r\ntw'), now),
    '2026-01-02T03:04:05.678Z one\n2026-01-02T03:04:05.678Z tw',
  );
  assert.equal(writer.write(Buffer.from('o\r\n\r\n'), later), 'o\n2026-01-02T03:04:06.678Z \n');
});

test('colours, cursor movements and titles are left out, also when they come in pieces', () => {
  const plain = '2026-01-02T03:04:05.678Z [  OK  ] Reached';
  assert.equal(logOf('[\u001b[0;32m  OK  \u001b[0m] Reached'), plain);
  assert.equal(logOf('[\u001b', '[0;3', '2m  OK  \u001b', '[0m] \u001b(BReached'), plain);
  assert.equal(logOf('\u001b]0;title\u0007[  OK  ] \u001b]0;title\u001b\\Reached'), plain);
});

test('a sequence that never ends swallows one line at most', () => {
  assert.match(logOf('\u001b]0;endless\nnext\n'), / next\n$/);
  assert.match(logOf('\u001b[12\nnext\n'), / next\n$/);
});

test('a character that is split between two reads stays whole', () => {
  const bytes = Buffer.from('grün');
  assert.match(logOf(bytes.subarray(0, 3), bytes.subarray(3)), /grün$/);
});

test('the reader gives the lines that the writer was given, wherever the log is cut', () => {
  const line = fc.string({ unit: fc.constantFrom('a', 'ü', ' ', '0', '€', '\t'), maxLength: 20 });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.nat(400), (lines, cut) => {
      const log = Buffer.from(logOf(lines.map((text) => `${text}\n`).join('')));
      const reader = new ConsoleLogReader();
      reader.feed(log.subarray(0, cut));
      reader.feed(log.subarray(cut));
      assert.deepEqual(
        reader.lines().map(({ text }) => text),
        lines,
      );
      assert.ok(reader.lines().every(({ at }) => at.getTime() === now.getTime()));
    }),
  );
});

test('no bytes from a guest break the log or leave a control character in it', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), (chunks) => {
      const log = logOf(...chunks);
      const control = /\p{Cc}/u;
      assert.ok(!control.test(log.replaceAll(/[\n\t]/g, '')));
      const reader = new ConsoleLogReader();
      reader.feed(Buffer.from(log));
      reader.lines();
    }),
  );
});

test('an endless line and an endless log stay within bounds', () => {
  const log = logOf('x'.repeat(20_000));
  assert.equal(log.split('\n').length, 3);
  const reader = new ConsoleLogReader(100);
  reader.feed(Buffer.from(logOf('line\n'.repeat(250))));
  assert.equal(reader.first, 150);
  assert.equal(reader.lines().length, 100);
  assert.equal(reader.lines(240).length, 10);
  const foreign = new ConsoleLogReader();
  foreign.feed(Buffer.alloc(100_000, 0x61));
  assert.deepEqual(foreign.lines(), []);
});
