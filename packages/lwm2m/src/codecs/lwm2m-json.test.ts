// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat } from '@mbl/coap';
import fc from 'fast-check';
import { Lwm2mError } from '../errors.ts';
import { text, utf8 } from '../testing/bytes.ts';
import { deviceExample } from '../testing/device-example.ts';
import { decodeNodes, decodePaths, encodeNodes } from './codecs.ts';

const { LWM2M_JSON } = ContentFormat;

test('the example of the specification: Read /3/0 (LwM2M Core 1.0 §6.4.4)', () => {
  const json = `{"bn":"/3/0/","e":[
    {"n":"0","sv":"Open Mobile Alliance"},
    {"n":"1","sv":"Lightweight M2M Client"},
    {"n":"2","sv":"345000123"},
    {"n":"3","sv":"1.0"},
    {"n":"6/0","v":1},
    {"n":"6/1","v":5},
    {"n":"7/0","v":3800},
    {"n":"7/1","v":5000},
    {"n":"8/0","v":125},
    {"n":"8/1","v":900},
    {"n":"9","v":100},
    {"n":"10","v":15},
    {"n":"11/0","v":0},
    {"n":"13","v":1367491215},
    {"n":"14","sv":"+02:00"},
    {"n":"16","sv":"U"}]}`;
  assert.deepEqual(decodeNodes(LWM2M_JSON, utf8(json), [3, 0]), deviceExample);
  assert.equal(text(encodeNodes(LWM2M_JSON, deviceExample, [3, 0])), json.replaceAll(/\n\s*/g, ''));
});

test('names are below the base name, else below the path of the request', () => {
  const level = [{ path: [3, 0, 9], value: 80 }];
  for (const [payload, base] of [
    ['{"bn":"/3/0","e":[{"n":"/9","v":80}]}', [3, 0]],
    ['{"bn":"/3/0/9","e":[{"v":80}]}', [3, 0, 9]],
    ['{"bn":"","e":[{"n":"/3/0/9","v":80}]}', [3, 0]],
    ['{"e":[{"n":"0/9","v":80}]}', [3]],
    ['{"e":[{"n":"9","v":80}]}', [3, 0]],
    ['{"e":[{"n":"","v":80}]}', [3, 0, 9]],
    ['{"e":[{"n":"/3/0/9","v":80}]}', [3, 0]],
  ] as const) {
    assert.deepEqual(decodeNodes(LWM2M_JSON, utf8(payload), base), level, payload);
  }
  assert.equal(text(encodeNodes(LWM2M_JSON, level, [3, 0, 9])), '{"bn":"/3/0/9","e":[{"n":"","v":80}]}');
});

test('times count from the base time; bytes are base64 in a string; links, booleans and long integers', () => {
  const history =
    '{"bn":"/72/","e":[{"n":"1/2","v":22.4,"t":-5},{"n":"1/2","v":22.9,"t":-30}],"bt":25462634}';
  assert.deepEqual(
    decodeNodes(LWM2M_JSON, utf8(history), [72]).map(({ value, time }) => [value, time]),
    [
      [22.4, 25462629],
      [22.9, 25462604],
    ],
  );
  for (const [payload, path, value] of [
    ['{"bn":"/14/0/0","e":[{"n":"","sv":"kernel"}]}', [14, 0, 0], 'kernel'],
    ['{"bn":"/5/0/0","e":[{"n":"","sv":"+//+AA=="}]}', [5, 0, 0], Uint8Array.of(0xfb, 0xff, 0xfe, 0)],
    ['{"bn":"/1/0/6","e":[{"n":"","bv":true}]}', [1, 0, 6], true],
    ['{"bn":"/1/0/10","e":[{"n":"","ov":"66:1"}]}', [1, 0, 10], { objectId: 66, instanceId: 1 }],
    ['{"bn":"/3/0/13","e":[{"n":"","v":9223372036854775807}]}', [3, 0, 13], 2n ** 63n - 1n],
  ] as const) {
    assert.deepEqual(decodeNodes(LWM2M_JSON, utf8(payload), path), [{ path, value }], payload);
    assert.equal(text(encodeNodes(LWM2M_JSON, [{ path, value }], path)), payload);
  }
});

for (const [what, payload] of [
  ['no JSON', '{"e":['],
  ['an array', '[{"n":"/3/0/0","sv":"a"}]'],
  ['no values', '{"bn":"/3/0/"}'],
  ['a value that is no object', '{"e":[1]}'],
  ['an entry without a value', '{"e":[{"n":"0"}]}'],
  ['an entry with two values', '{"e":[{"n":"0","sv":"a","v":1}]}'],
  ['a value of another type', '{"e":[{"n":"0","v":1}]}'],
  ['a number in a string', '{"e":[{"n":"9","v":"1"}]}'],
  ['a path outside the request', '{"bn":"/4/","e":[{"n":"0/0","v":1}]}'],
  ['a base name that is no string', '{"bn":3,"e":[]}'],
  ['a base time that is no number', '{"bt":"1","e":[]}'],
  ['bytes that are no base64', '{"bn":"/5/0/0","e":[{"n":"","sv":"*"}]}'],
] as const) {
  test(`LwM2M JSON refuses ${what}`, () => {
    assert.throws(() => decodeNodes(LWM2M_JSON, utf8(payload), [what.startsWith('bytes') ? 5 : 3, 0]), {
      name: 'Lwm2mError',
      status: Code.BAD_REQUEST,
    });
  });
}

test('it names no paths for composite operations, and JSON of any shape is answered or refused', () => {
  assert.throws(() => decodePaths(LWM2M_JSON, utf8('{"e":[{"n":"/3"}]}')), {
    status: Code.UNSUPPORTED_CONTENT_FORMAT,
  });
  const label = fc.constantFrom('bn', 'bt', 'n', 't', 'v', 'sv', 'bv', 'ov', 'e', 'x');
  const content = fc.oneof(fc.constantFrom('/3/0/9', '/5/0/', '0', '66:0', 'AQID', 10), fc.jsonValue());
  const entries = fc.array(fc.oneof(fc.dictionary(label, content), fc.jsonValue()));
  fc.assert(
    fc.property(fc.dictionary(label, content), entries, (document, e) => {
      try {
        decodeNodes(LWM2M_JSON, utf8(JSON.stringify({ ...document, e })), [3, 0]);
      } catch (error) {
        if (!(error instanceof Lwm2mError)) throw error;
      }
    }),
    { numRuns: 1000 },
  );
});
