// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeMessage, frameLength, messageType, parseFrame, parseHeader } from './message.ts';
import { completeTypes, Malformed, Reader, type Variant, Writer } from './wire.ts';

/** Another implementation: what the platform service speaks. */
const library = createRequire(import.meta.url)('dbus-native/lib/message.js') as {
  marshall(message: object): Buffer;
  unmarshall(bytes: Buffer, options: object): { readonly body?: unknown[] } & Record<string, unknown>;
};

const name = fc.stringMatching(/^[a-z]{1,8}(\.[A-Za-z]{1,8}){1,3}$/);
const string = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((text) => !text.includes('\0'));
const variant: fc.Arbitrary<Variant> = fc.oneof(
  string.map((value) => ({ signature: 's', value })),
  fc.double({ noNaN: true }).map((value) => ({ signature: 'd', value })),
  fc.boolean().map((value) => ({ signature: 'b', value })),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => ({ signature: 'x', value })),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => ({ signature: 't', value })),
  fc.nat().map((value) => ({ signature: 'u', value })),
  fc.uint8Array({ maxLength: 40 }).map((value) => ({ signature: 'ay', value })),
  fc.tuple(fc.nat(65_535), fc.nat(65_535)).map((value) => ({ signature: '(qq)', value })),
);
const values = fc
  .dictionary(string, variant, { noNullPrototype: true })
  .map((of) => new Map(Object.entries(of)));
const call = fc.record({
  path: fc.constant('/com/mbl/Cloud1'),
  interface: name,
  member: fc.constant('SetAll'),
  destination: name,
});

test('what is written is read again, here and by another implementation', () => {
  fc.assert(
    fc.property(
      call,
      string,
      variant,
      values,
      fc.array(string, { maxLength: 5 }),
      (head, text, one, map, list) => {
        const signature = 'sva{sv}as';
        const body = [text, one, map, list];
        const bytes = encodeMessage(7, { type: messageType.call, ...head, signature, body });
        const frame = parseFrame(bytes.subarray(0, frameLength));
        assert.equal(frame.headerLength + frame.bodyLength, bytes.length);
        const header = parseHeader(bytes.subarray(0, frame.headerLength), frame);
        assert.deepEqual(
          [header.path, header.interface, header.member, header.signature, header.serial, header.wantsReply],
          [head.path, head.interface, head.member, signature, 7, true],
        );
        assert.deepEqual(new Reader(bytes.subarray(frame.headerLength), true).values(signature), body);
        const theirs = library.unmarshall(bytes, { variants: 'wrap', plainValues: false });
        assert.deepEqual([theirs['member'], theirs['destination']], [head.member, head.destination]);
        assert.equal(theirs.body?.[0], text);
        assert.deepEqual(theirs.body?.[3], list);
      },
    ),
  );
});

test('what another implementation writes is read', () => {
  const body = [['/3303/0/5700', ['d', 21.5]] as const, ['/26241/0/1', ['s', 'grün']] as const];
  const bytes = library.marshall({
    serial: 3,
    type: 1,
    path: '/com/mbl/Cloud1',
    interface: 'com.mbl.Cloud1',
    member: 'SetAll',
    destination: 'com.mbl.Cloud1',
    flags: 1,
    signature: 'a{sv}',
    body: [body],
  });
  const frame = parseFrame(bytes);
  const header = parseHeader(bytes.subarray(0, frame.headerLength), frame);
  assert.equal(header.wantsReply, false);
  assert.deepEqual(new Reader(bytes.subarray(frame.headerLength), true).values('a{sv}'), [
    new Map([
      ['/3303/0/5700', { signature: 'd', value: 21.5 }],
      ['/26241/0/1', { signature: 's', value: 'grün' }],
    ]),
  ]);
});

test('big-endian callers are understood', () => {
  const bytes = Buffer.from('0000000300000005', 'hex');
  const reader = new Reader(bytes, false);
  assert.deepEqual([reader.uint32(), reader.uint32()], [3, 5]);
  assert.deepEqual(new Reader(Buffer.from('0000000261620000', 'hex').subarray(0, 7), false).values('s'), [
    'ab',
  ]);
});

test('any bytes are read or refused, never anything else', () => {
  const signatures = ['s', 'sv', 'a{sv}', 'as', 'ss', 'us', 'ssv', 'v'];
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(...signatures),
      fc.boolean(),
      (bytes, signature, little) => {
        try {
          new Reader(Buffer.from(bytes), little).values(signature);
        } catch (error) {
          assert.ok(error instanceof Malformed, String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test('a message with any byte changed is read or refused', () => {
  const body = ['/3303/0/5700', { signature: 'd', value: 21.5 }];
  const good = encodeMessage(1, {
    type: messageType.call,
    path: '/com/mbl/Cloud1',
    interface: 'com.mbl.Cloud1',
    member: 'Set',
    destination: 'com.mbl.Cloud1',
    signature: 'sv',
    body,
  });
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
      const bytes = Buffer.from(good);
      bytes[at] = byte;
      try {
        const frame = parseFrame(bytes);
        const header = parseHeader(bytes.subarray(0, frame.headerLength), frame);
        new Reader(bytes.subarray(frame.headerLength), frame.little).values('sv');
        assert.equal(typeof header.member, 'string');
      } catch (error) {
        assert.ok(error instanceof Malformed, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test('texts that are not UTF-8, values that nobody takes and long lists are refused', () => {
  const refused = (bytes: Uint8Array, signature: string) =>
    assert.throws(() => new Reader(Buffer.from(bytes), true).values(signature), Malformed, signature);
  refused(Uint8Array.of(1, 0, 0, 0, 0xff, 0), 's');
  refused(Uint8Array.of(1, 0, 0, 0, 0x00, 0), 's');
  refused(Uint8Array.of(2, 0, 0, 0), 'b');
  for (const signature of ['av', 'a{sv}', 'h', 'v'])
    refused(new Writer().values('g', [signature]).bytes, 'v');
  const many = new Writer().values('as', [Array.from({ length: 1025 }, () => '')]).bytes;
  refused(many, 'as');
  assert.deepEqual(completeTypes('sa{sv}(qq)a(ssas)v'), ['s', 'a{sv}', '(qq)', 'a(ssas)', 'v']);
});
