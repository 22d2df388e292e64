// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nbdGreeting, NbdSession } from './nbd.ts';

const exports = [{ name: 'disk', size: 8192 }];

function option(number: number, data: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head.write('IHAVEOPT', 'latin1');
  head.writeUInt32BE(number, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

function go(name: string): Buffer {
  const data = Buffer.alloc(6 + name.length);
  data.writeUInt32BE(name.length);
  data.write(name, 4);
  return option(7, data);
}

function request(type: number, offset: number, length: number, data = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(0x25609513);
  head.writeUInt16BE(type, 6);
  head.write('cookie-1', 8);
  head.writeBigUInt64BE(BigInt(offset), 16);
  head.writeUInt32BE(length, 24);
  return Buffer.concat([head, data]);
}

const flags = Buffer.from([0, 0, 0, 3]);

test('the greeting, the choice of an export, a write: byte by byte or at once', () => {
  assert.equal(nbdGreeting().toString('latin1'), 'NBDMAGICIHAVEOPT\0\u0003');
  const stream = Buffer.concat([
    flags,
    go('disk'),
    request(1, 512, 1024, Buffer.alloc(1024, 7)),
    request(3, 0, 0),
  ]);
  for (const step of [1, 7, 100, stream.length]) {
    const session = new NbdSession(exports);
    const requests = [];
    for (let at = 0; at < stream.length; at += step) {
      const progress = session.take(stream.subarray(at, at + step));
      assert.equal(progress.closed, false);
      requests.push(...progress.requests);
    }
    assert.deepEqual(session.selected, exports[0]);
    assert.deepEqual(
      requests.map(({ command, offset, length, data, forced }) => [
        command,
        offset,
        length,
        data.length,
        forced,
      ]),
      [
        ['write', 512, 1024, 1024, false],
        ['flush', 0, 0, 0, false],
      ],
    );
  }
});

test('what is unknown is refused, and the client may go on', () => {
  const session = new NbdSession(exports);
  const { answers, closed } = session.take(Buffer.concat([flags, option(8, Buffer.alloc(0)), go('other')]));
  assert.equal(closed, false);
  assert.deepEqual(
    answers.map((answer) => answer.readUInt32BE(12)),
    [0x80000001, 0x80000006],
  );
  session.take(go('disk'));
  const wrong = [
    request(0, 8192, 512),
    request(0, 1, 512),
    request(1, 0, 512 * 17, Buffer.alloc(512 * 17)),
    request(9, 0, 512),
    request(0, 0, 0),
  ];
  for (const one of wrong) {
    const progress = session.take(one);
    assert.deepEqual(progress.requests, []);
    assert.deepEqual(
      progress.answers.map((answer) => [answer.readUInt32BE(4), answer.toString('latin1', 8)]),
      [[22, 'cookie-1']],
    );
  }
  assert.equal(session.take(request(2, 0, 0)).closed, true);
});

test('no bytes make a session throw, or give a request beyond its export', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(
      flags,
      go('disk'),
      request(0, 0, 4096),
      request(1, 512, 512, Buffer.alloc(512)),
      request(1, 0, 0xffffffff),
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.boolean(), (pieces, opened) => {
      const session = new NbdSession(exports);
      if (opened) session.take(Buffer.concat([flags, go('disk')]));
      for (const bytes of pieces) {
        for (const { command, offset, length, data } of session.take(bytes).requests) {
          assert.ok(command === 'flush' || (length > 0 && offset + length <= 8192));
          assert.equal(data.length, command === 'write' ? length : 0);
        }
      }
    }),
    { numRuns: 500 },
  );
});
