// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat } from '@mbl/coap';
import { encode as cborEncode } from 'cborg';
import { parsePath } from '../path.ts';
import { hex, text, utf8 } from '../testing/bytes.ts';
import { deviceExample } from '../testing/device-example.ts';
import { decodeNodes, decodePaths, encodeNodes, encodePaths } from './codecs.ts';

const { SENML_CBOR, SENML_JSON } = ContentFormat;

const json = `[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},
  {"n":"1","vs":"Lightweight M2M Client"},
  {"n":"2","vs":"345000123"},
  {"n":"3","vs":"1.0"},
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
  {"n":"14","vs":"+02:00"},
  {"n":"16","vs":"U"}]`;

const cbor = hex(`
  90 a3 21 65 2f 33 2f 30 2f 00 61 30 03 74 4f 70 65 6e 20 4d 6f 62 69 6c 65 20 41 6c 6c 69 61 6e 63 65
  a2 00 61 31 03 76 4c 69 67 68 74 77 65 69 67 68 74 20 4d 32 4d 20 43 6c 69 65 6e 74
  a2 00 61 32 03 69 33 34 35 30 30 30 31 32 33  a2 00 61 33 03 63 31 2e 30
  a2 00 63 36 2f 30 02 01  a2 00 63 36 2f 31 02 05  a2 00 63 37 2f 30 02 19 0e d8  a2 00 63 37 2f 31 02 19 13 88
  a2 00 63 38 2f 30 02 18 7d  a2 00 63 38 2f 31 02 19 03 84  a2 00 61 39 02 18 64  a2 00 62 31 30 02 0f
  a2 00 64 31 31 2f 30 02 00  a2 00 62 31 33 02 1a 51 82 42 8f  a2 00 62 31 34 03 66 2b 30 32 3a 30 30
  a2 00 62 31 36 03 61 55`);

test('the SenML JSON example: Read /3/0 (LwM2M Core 1.1 §7.4.4)', () => {
  assert.deepEqual(decodeNodes(SENML_JSON, utf8(json), [3, 0]), deviceExample);
  assert.equal(text(encodeNodes(SENML_JSON, deviceExample, [3, 0])), json.replaceAll(/\n\s*/g, ''));
});

test('the SenML CBOR example: Read /3/0 (LwM2M Core 1.1 §7.4.5)', () => {
  assert.deepEqual(decodeNodes(SENML_CBOR, cbor, [3, 0]), deviceExample);
  assert.deepEqual(Buffer.from(encodeNodes(SENML_CBOR, deviceExample, [3, 0])), Buffer.from(cbor));
});

test('the example of a notification with a history: base time and relative times (§7.4.4)', () => {
  const payload = utf8(`[{"bn":"/72/","bt":25462634,"n":"1/2","v":22.4,"t":-5},
    {"n":"1/2","v":22.9,"t":-30},{"n":"1/2","v":24.1,"t":-50}]`);
  assert.deepEqual(decodeNodes(SENML_JSON, payload, [72]), [
    { path: [72, 1, 2], value: 22.4, time: 25462629 },
    { path: [72, 1, 2], value: 22.9, time: 25462604 },
    { path: [72, 1, 2], value: 24.1, time: 25462584 },
  ]);
});

test('the example of object links (§7.4.4)', () => {
  const payload = utf8(`[{"bn":"/","n":"65/0/0/0","vlo":"66:0"},{"n":"65/0/0/1","vlo":"66:1"},
    {"n":"65/0/1","vs":"8613800755500"},{"n":"65/0/2","v":1}]`);
  const nodes = decodeNodes(SENML_JSON, payload, []);
  assert.deepEqual(nodes[1], { path: [65, 0, 0, 1], value: { objectId: 66, instanceId: 1 } });
  for (const format of [SENML_JSON, SENML_CBOR]) {
    assert.deepEqual(decodeNodes(format, encodeNodes(format, nodes, []), []), nodes);
  }
});

test('a single resource is its base name', () => {
  const nodes = [{ path: [3, 0, 0], value: 'ARM' }];
  assert.equal(text(encodeNodes(SENML_JSON, nodes, [3, 0, 0])), '[{"bn":"/3/0/0","vs":"ARM"}]');
  assert.deepEqual(decodeNodes(SENML_JSON, utf8('[{"n":"/3/0/0","vs":"ARM"}]'), [3, 0, 0]), nodes);
});

test('opaque values are base64url without padding in JSON and bytes in CBOR (RFC 8428 §4.3)', () => {
  const nodes = [{ path: [14, 0, 1], value: Uint8Array.of(0xfb, 0xff, 0xfe, 0x00) }];
  assert.equal(text(encodeNodes(SENML_JSON, nodes, [14, 0, 1])), '[{"bn":"/14/0/1","vd":"-__-AA"}]');
  for (const format of [SENML_JSON, SENML_CBOR]) {
    assert.deepEqual(decodeNodes(format, encodeNodes(format, nodes, [14, 0, 1]), [14, 0, 1]), nodes);
  }
});

test('integers of 64 bits stay exact', () => {
  const nodes = [{ path: [3, 0, 13], value: 2n ** 63n - 1n }];
  assert.equal(
    text(encodeNodes(SENML_JSON, nodes, [3, 0, 13])),
    '[{"bn":"/3/0/13","v":9223372036854775807}]',
  );
  for (const format of [SENML_JSON, SENML_CBOR]) {
    assert.deepEqual(decodeNodes(format, encodeNodes(format, nodes, [3, 0, 13]), [3, 0, 13]), nodes);
  }
});

test('composite paths go both ways', () => {
  const paths = [parsePath('/3/0/0'), parsePath('/4'), parsePath('/14/1')];
  for (const format of [SENML_JSON, SENML_CBOR]) {
    assert.deepEqual(decodePaths(format, encodePaths(format, paths)), paths);
  }
  assert.deepEqual(decodePaths(SENML_JSON, utf8('[{"bn":"/3/0/","n":"0"},{"n":"9"}]')), [
    [3, 0, 0],
    [3, 0, 9],
  ]);
});

for (const [what, payload] of [
  ['no JSON', '[{'],
  ['no array', '{"n":"/3/0/0","vs":"a"}'],
  ['a record that is no object', '[1]'],
  ['a record without a value', '[{"n":"/3/0/0"}]'],
  ['a record with two values', '[{"n":"/3/0/0","vs":"a","v":1}]'],
  ['a value of another type', '[{"n":"/3/0/0","v":1}]'],
  ['a fraction for an integer', '[{"n":"/3/0/9","v":1.5}]'],
  ['a path outside the request', '[{"n":"/4/0/0","v":1}]'],
  ['an object for a resource', '[{"n":"/3","v":1}]'],
  ['a name that is no path', '[{"n":"urn:dev:1","v":1}]'],
  ['a field that must be understood', '[{"n":"/3/0/0","vs":"a","x_":1}]'],
  ['a base value', '[{"bn":"/3/0/9","bv":1,"v":1}]'],
  ['another version', '[{"bver":11,"n":"/3/0/0","vs":"a"}]'],
  ['bad base64', '[{"n":"/3/0/0","vd":"*"}]'],
] as const) {
  test(`SenML JSON refuses ${what}`, () => {
    assert.throws(() => decodeNodes(SENML_JSON, utf8(payload), [3, 0]), {
      name: 'Lwm2mError',
      status: Code.BAD_REQUEST,
    });
  });
}

for (const [what, payload] of [
  ['no CBOR', hex('9f 81')],
  ['no array', cborEncode('x')],
  ['a record that is no map', cborEncode([1])],
  ['a name that is no text', cborEncode([new Map([[0, 1]])])],
  ['a repeated label', hex('81 a3 00 66 2f 33 2f 30 2f 30 03 61 61 03 61 62')],
  [
    'a sum',
    cborEncode([
      new Map<number, unknown>([
        [0, '/3/0/9'],
        [5, 1],
      ]),
    ]),
  ],
] as const) {
  test(`SenML CBOR refuses ${what}`, () => {
    assert.throws(() => decodeNodes(SENML_CBOR, payload, [3, 0]), {
      name: 'Lwm2mError',
      status: Code.BAD_REQUEST,
    });
  });
}

test('fields that only inform are passed over: units, update time, unknown ones', () => {
  const payload = utf8('[{"bu":"V","n":"/3/0/9","u":"%","ut":1,"v":5,"x":2}]');
  assert.deepEqual(decodeNodes(SENML_JSON, payload, [3, 0]), [{ path: [3, 0, 9], value: 5 }]);
});
