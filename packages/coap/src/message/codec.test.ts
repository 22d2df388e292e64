// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Code, formatCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import { coapError, hex, text, utf8 } from '../testing/support.ts';
import { blockOption, blockValue } from './block.ts';
import type { CoapMessage } from './message.ts';
import { ContentFormat, OptionNumber } from './option-registry.ts';
import {
  contentFormat,
  contentFormatOption,
  maxAge,
  uintOption,
  uintValue,
  uriPath,
  uriPathOptions,
  uriQuery,
  uriQueryOptions,
  withOption,
} from './option-values.ts';
import { decodeTcpFrame, encodeTcpFrame, TcpFrameSplitter, tcpFrameSize } from './tcp-frame.ts';
import { decodeUdpMessage, encodeUdpMessage, MessageType, type UdpMessage } from './udp-message.ts';

const limits = { maxMessageSize: 100_000, maxOptions: 64 };

test('RFC 7252 appendix A, figures 16 and 17', () => {
  const request: UdpMessage = {
    type: MessageType.CON,
    messageId: 0x7d34,
    code: Code.GET,
    token: hex(''),
    options: uriPathOptions('/temperature'),
    payload: hex(''),
  };
  const requestBytes = hex('40 01 7d 34 bb 74 65 6d 70 65 72 61 74 75 72 65');
  assert.deepEqual(encodeUdpMessage(request), requestBytes);
  assert.deepEqual(decodeUdpMessage(requestBytes, limits), request);
  const response = {
    type: MessageType.ACK,
    messageId: 0x7d34,
    code: Code.CONTENT,
    token: hex(''),
    options: [],
  };
  const responseBytes = hex('60 45 7d 34 ff 32 32 2e 33 20 43');
  assert.deepEqual(encodeUdpMessage({ ...response, payload: utf8('22.3 C') }), responseBytes);
  assert.equal(text(decodeUdpMessage(responseBytes, limits).payload), '22.3 C');
  const withToken = hex('41 01 7d 35 20 bb 74 65 6d 70 65 72 61 74 75 72 65');
  assert.deepEqual(encodeUdpMessage({ ...request, messageId: 0x7d35, token: hex('20') }), withToken);
  const answered = decodeUdpMessage(hex('61 45 7d 35 20 ff 32 32 2e 33 20 43'), limits);
  assert.deepEqual(answered.token, hex('20'));
});

test('RFC 8323 §3.2, figure 7, and each form of the length', () => {
  const valid: CoapMessage = { code: Code.VALID, token: hex('7f'), options: [], payload: hex('') };
  assert.deepEqual(encodeTcpFrame(valid), hex('01 43 7f'));
  assert.deepEqual(decodeTcpFrame(hex('01 43 7f'), limits), valid);
  // Options and payload of 12, 13, 268, 269, 65804 and 65805 bytes: one of them is the marker.
  for (const [length, head] of [
    [12, 'c1'],
    [13, 'd1 00'],
    [268, 'd1 ff'],
    [269, 'e1 00 00'],
    [65_804, 'e1 ff ff'],
    [65_805, 'f1 00 00 00 00'],
  ] as const) {
    const message = { ...valid, payload: new Uint8Array(length - 1) };
    const frame = encodeTcpFrame(message);
    const expected = hex(`${head} 43 7f ff`);
    assert.deepEqual(frame.subarray(0, expected.length), expected);
    assert.equal(frame.length, tcpFrameSize(message));
    assert.deepEqual(decodeTcpFrame(frame, limits), message);
  }
});

test('RFC 7252 §3.1: deltas and lengths of one, two and three bytes', () => {
  const message = (options: [number, number][]): CoapMessage => ({
    code: 1,
    token: hex(''),
    options: options.map(([number, length]) => ({ number, value: new Uint8Array(length).fill(1) })),
    payload: hex(''),
  });
  for (const number of [1, 12, 13, 268, 269, 65_535]) {
    for (const length of [0, 12, 13, 268, 269, 1034]) {
      const given = message([
        [number, length],
        [number, 1],
      ]);
      assert.deepEqual(decodeTcpFrame(encodeTcpFrame(given), limits), given);
    }
  }
  // 60 - 12 = 48 = 13 + 35.
  const size1 = { ...message([]), options: [contentFormatOption(0), uintOption(OptionNumber.SIZE1, 1)] };
  assert.deepEqual(encodeTcpFrame(size1), hex('40 01 c0 d1 23 01'));
});

test('options go out in ascending order, whatever order they are given in', () => {
  const options = [...uriQueryOptions(['a=1', 'b']), ...uriPathOptions('/x/y'), contentFormatOption(42)];
  const decoded = decodeTcpFrame(
    encodeTcpFrame({ code: 1, token: hex(''), options, payload: hex('') }),
    limits,
  );
  assert.deepEqual(
    decoded.options.map(({ number }) => number),
    [11, 11, 12, 15, 15],
  );
  assert.deepEqual(uriPath(decoded.options), ['x', 'y']);
  assert.deepEqual(uriQuery(decoded.options), ['a=1', 'b']);
  assert.equal(contentFormat(decoded.options), ContentFormat.OCTET_STREAM);
  assert.equal(maxAge(decoded.options), 60);
});

test('unsigned integers take the fewest bytes and leading zeros are read', () => {
  for (const [value, bytes] of [
    [0, ''],
    [1, '01'],
    [255, 'ff'],
    [256, '01 00'],
    [11_542, '2d 16'],
    [0xffff_ffff, 'ff ff ff ff'],
  ] as const) {
    assert.deepEqual(uintOption(12, value).value, hex(bytes));
    assert.equal(uintValue([{ number: 12, value: hex(bytes) }], 12), value);
  }
  assert.equal(uintValue([{ number: 12, value: hex('00 00 01') }], 12), 1);
  assert.throws(
    () => uintValue([{ number: 12, value: hex('00 00 00 00 01') }], 12),
    coapError('coap/bad-option'),
  );
  assert.throws(() => uriPath([{ number: 11, value: hex('ff') }]), coapError('coap/bad-option'));
  assert.throws(() => uintOption(12, -1), coapError('coap/bad-argument'));
});

test('RFC 7959 §2.2: block values', () => {
  const { BLOCK2 } = OptionNumber;
  for (const [bytes, number, more, sizeExponent] of [
    ['', 0, false, 0],
    ['06', 0, false, 6],
    ['0e', 0, true, 6],
    ['16', 1, false, 6],
    ['01 0b', 16, true, 3],
    ['ff ff ff', 0xf_ffff, true, 7],
  ] as const) {
    const block = { number, more, sizeExponent };
    assert.deepEqual(blockOption(BLOCK2, block).value, hex(bytes));
    assert.deepEqual(blockValue([{ number: BLOCK2, value: hex(bytes) }], BLOCK2), block);
  }
  const tooLarge = { number: 0x10_0000, more: false, sizeExponent: 0 };
  assert.throws(() => blockOption(BLOCK2, tooLarge), coapError('coap/body-too-large'));
});

test('withOption replaces and keeps the order', () => {
  const options = [uintOption(4, 1), uintOption(12, 1), uintOption(60, 1)];
  assert.deepEqual(withOption(options, uintOption(12, 2)), [
    uintOption(4, 1),
    uintOption(12, 2),
    uintOption(60, 1),
  ]);
});

test('codes read as in the registry', () => {
  assert.equal(formatCode(Code.CONTENT), '2.05');
  assert.equal(formatCode(Code.CONTINUE), '2.31');
  assert.equal(formatCode(Code.UNPROCESSABLE_ENTITY), '4.22');
  assert.equal(formatCode(Code.TOO_MANY_REQUESTS), '4.29');
  assert.equal(formatCode(Code.ABORT), '7.05');
});

const plainObject = { noNullPrototype: true };
const anyMessage = fc.record(
  {
    code: fc.integer({ min: 1, max: 255 }),
    token: fc.uint8Array({ maxLength: 8 }),
    options: fc
      .array(
        fc.record(
          { number: fc.integer({ min: 0, max: 65_535 }), value: fc.uint8Array({ maxLength: 300 }) },
          plainObject,
        ),
        {
          maxLength: 20,
        },
      )
      .map((options) => options.toSorted((a, b) => a.number - b.number)),
    payload: fc.uint8Array({ maxLength: 2000 }),
  },
  plainObject,
);

test('every message survives both encodings', () => {
  fc.assert(
    fc.property(anyMessage, fc.integer({ min: 0, max: 65_535 }), (message, messageId) => {
      assert.deepEqual(decodeTcpFrame(encodeTcpFrame(message), limits), message);
      const datagram: UdpMessage = { ...message, type: MessageType.NON, messageId };
      assert.deepEqual(decodeUdpMessage(encodeUdpMessage(datagram), limits), datagram);
    }),
  );
});

test('the splitter finds the same messages however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }),
      (sent, cuts) => {
        const stream = Buffer.concat(sent.map(encodeTcpFrame));
        const splitter = new TcpFrameSplitter(limits);
        const found: CoapMessage[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const end = at + (cuts[i % cuts.length] ?? 1);
          splitter.push(stream.subarray(at, end));
          for (let next = splitter.next(); next !== undefined; next = splitter.next()) found.push(next);
          at = end;
        }
        assert.deepEqual(found, sent);
        assert.equal(splitter.pending, 0);
      },
    ),
  );
});

test('a large frame that comes byte by byte takes linear time and bounded memory', () => {
  const message = { code: 1, token: hex('01'), options: [], payload: new Uint8Array(90_000).fill(7) };
  const splitter = new TcpFrameSplitter(limits);
  for (const byte of encodeTcpFrame(message)) {
    assert.ok(splitter.pending <= limits.maxMessageSize);
    splitter.push(Uint8Array.of(byte));
    const found = splitter.next();
    if (found !== undefined) assert.deepEqual(found, message);
  }
  assert.equal(splitter.pending, 0);
});

test('limits: a long frame is refused at its head, too many options at the one too many', () => {
  const splitter = new TcpFrameSplitter(limits);
  splitter.push(hex('f0 ff ff ff ff'));
  assert.throws(() => splitter.next(), coapError('coap/message-too-large'));
  const options = Array.from({ length: 65 }, () => ({ number: 15, value: hex('61') }));
  const frame = encodeTcpFrame({ code: 1, token: hex(''), options, payload: hex('') });
  assert.throws(() => decodeTcpFrame(frame, limits), coapError('coap/message-format'));
  assert.throws(
    () => decodeUdpMessage(new Uint8Array(limits.maxMessageSize + 1), limits),
    coapError('coap/message-too-large'),
  );
});

test('bytes from outside make the decoders throw CoapError and nothing else', () => {
  const onlyCoapError = (decode: () => unknown): void => {
    try {
      decode();
    } catch (error) {
      if (!(error instanceof CoapError)) throw error;
    }
  };
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    // Nearly right: a message with some bytes changed, or cut off.
    fc
      .tuple(anyMessage, fc.boolean(), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat())
      .map(([message, udp, changes, cut]) => {
        const encoded = udp
          ? encodeUdpMessage({ ...message, type: MessageType.CON, messageId: 1 })
          : encodeTcpFrame(message);
        for (const [at, value] of changes) encoded[at % encoded.length] = value;
        return encoded.subarray(0, cut % (encoded.length + 1));
      }),
  );
  fc.assert(
    fc.property(bytes, (input) => {
      onlyCoapError(() => decodeUdpMessage(input, limits));
      onlyCoapError(() => decodeTcpFrame(input, limits));
      onlyCoapError(() => {
        const splitter = new TcpFrameSplitter(limits);
        splitter.push(input);
        for (let next = splitter.next(); next !== undefined; next = splitter.next()) uriPath(next.options);
      });
    }),
    { numRuns: 3000 },
  );
});
