// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContentFormat } from '@mbl/coap';
import { resourceTable } from '../model/definition.ts';
import { ObjectModel } from '../model/model.ts';
import type { Node } from '../node.ts';
import { parsePath } from '../path.ts';
import { hex } from '../testing/bytes.ts';
import { deviceExample } from '../testing/device-example.ts';
import type { Lwm2mValue } from '../values.ts';
import { decodeNodes, encodeNodes } from './codecs.ts';

const { LWM2M_TLV } = ContentFormat;

/** The objects of the specification's examples that are none of ours (LwM2M Core 1.1 §7.4.3). */
const exampleModel = new ObjectModel([
  {
    id: 2,
    name: 'LwM2M Access Control',
    version: '1.0',
    multiple: true,
    mandatory: false,
    resources: resourceTable([
      [0, 'Object ID', 'R', 'single', 'mandatory', 'integer'],
      [1, 'Object Instance ID', 'R', 'single', 'mandatory', 'integer'],
      [2, 'ACL', 'RW', 'multiple', 'optional', 'integer'],
      [3, 'Access Control Owner', 'RW', 'single', 'mandatory', 'integer'],
    ]),
  },
  {
    id: 65,
    name: 'links',
    version: '1.0',
    multiple: true,
    mandatory: false,
    resources: resourceTable([
      [0, 'Res 0', 'R', 'multiple', 'mandatory', 'objlnk'],
      [1, 'Res 1', 'R', 'single', 'mandatory', 'string'],
      [2, 'Res 2', 'R', 'single', 'mandatory', 'integer'],
    ]),
  },
]);

function nodes(table: readonly (readonly [string, Lwm2mValue])[]): Node[] {
  return table.map(([path, value]) => ({ path: parsePath(path), value }));
}

const resources = hex(`
  C8 00 14 4F 70 65 6E 20 4D 6F 62 69 6C 65 20 41 6C 6C 69 61 6E 63 65
  C8 01 16 4C 69 67 68 74 77 65 69 67 68 74 20 4D 32 4D 20 43 6C 69 65 6E 74
  C8 02 09 33 34 35 30 30 30 31 32 33
  C3 03 31 2E 30
  86 06 41 00 01 41 01 05
  88 07 08 42 00 0E D8 42 01 13 88
  87 08 41 00 7D 42 01 03 84
  C1 09 64
  C1 0A 0F
  83 0B 41 00 00
  C4 0D 51 82 42 8F
  C6 0E 2B 30 32 3A 30 30
  C1 10 55`);

test('the example of a single-instance object: Read /3/0 (LwM2M Core 1.1 §7.4.3)', () => {
  assert.deepEqual(decodeNodes(LWM2M_TLV, resources, [3, 0]), deviceExample);
  assert.deepEqual(encodeNodes(LWM2M_TLV, deviceExample, [3, 0]), resources);
});

test('the example of a single-instance object inside its instance: Read /3', () => {
  const payload = Uint8Array.of(...hex('08 00 79'), ...resources);
  assert.deepEqual(decodeNodes(LWM2M_TLV, payload, [3]), deviceExample);
  assert.deepEqual(encodeNodes(LWM2M_TLV, deviceExample, [3]), payload);
});

test('the example of several instances with a 16-bit identifier: Read /2', () => {
  const payload = hex(`
    08 00 0E  C1 00 01  C1 01 00  83 02 41 7F 07  C1 03 7F
    08 02 12  C1 00 03  C1 01 00  87 02 41 7F 07 61 01 36 01  C1 03 7F`);
  const expected = nodes([
    ['/2/0/0', 1],
    ['/2/0/1', 0],
    ['/2/0/2/127', 7],
    ['/2/0/3', 127],
    ['/2/2/0', 3],
    ['/2/2/1', 0],
    ['/2/2/2/127', 7],
    ['/2/2/2/310', 1],
    ['/2/2/3', 127],
  ]);
  assert.deepEqual(decodeNodes(LWM2M_TLV, payload, [2], exampleModel), expected);
  assert.deepEqual(encodeNodes(LWM2M_TLV, expected, [2], exampleModel), payload);
});

test('the example of object links: Read /65/0', () => {
  const payload = hex(`
    88 00 0C 44 00 00 42 00 00 44 01 00 42 00 01
    C8 01 0D 38 36 31 33 38 30 30 37 35 35 35 30 30
    C4 02 12 34 56 78`);
  const expected = nodes([
    ['/65/0/0/0', { objectId: 66, instanceId: 0 }],
    ['/65/0/0/1', { objectId: 66, instanceId: 1 }],
    ['/65/0/1', '8613800755500'],
    ['/65/0/2', 0x12345678],
  ]);
  assert.deepEqual(decodeNodes(LWM2M_TLV, payload, [65, 0], exampleModel), expected);
  assert.deepEqual(encodeNodes(LWM2M_TLV, expected, [65, 0], exampleModel), payload);
});

test('one resource and one resource instance', () => {
  const current = nodes([['/3/0/8/1', 900]]);
  const whole = hex('87 08 41 00 7D 42 01 03 84');
  assert.deepEqual(
    decodeNodes(LWM2M_TLV, whole, [3, 0, 8]),
    nodes([
      ['/3/0/8/0', 125],
      ['/3/0/8/1', 900],
    ]),
  );
  assert.deepEqual(encodeNodes(LWM2M_TLV, current, [3, 0, 8, 1]), hex('84 08 42 01 03 84'));
  assert.deepEqual(decodeNodes(LWM2M_TLV, hex('84 08 42 01 03 84'), [3, 0, 8, 1]), current);
});

test('integers take 1, 2, 4 or 8 bytes and keep their sign', () => {
  for (const [value, bytes] of [
    [-1, 'C1 02 FF'],
    [-128, 'C1 02 80'],
    [128, 'C2 02 00 80'],
    [-32769, 'C4 02 FF FF 7F FF'],
    [2 ** 31, 'C8 02 08 00 00 00 00 80 00 00 00'],
    [2n ** 62n, 'C8 02 08 40 00 00 00 00 00 00 00'],
  ] as const) {
    assert.deepEqual(encodeNodes(LWM2M_TLV, nodes([['/4/0/2', value]]), [4, 0]), hex(bytes));
    assert.deepEqual(decodeNodes(LWM2M_TLV, hex(bytes), [4, 0]), nodes([['/4/0/2', value]]));
  }
});

for (const [what, payload, base] of [
  ['an entry that ends early', 'C8 00 14 4F', [3, 0]],
  ['a header that ends early', 'F8 00', [3, 0]],
  ['a resource that is not the one in the path', 'C1 0A 0F', [3, 0, 9]],
  ['an instance that is not the one in the path', '08 01 03 C1 0A 0F', [3, 0]],
  ['an instance inside an instance', '08 00 02 00 00', [3]],
  ['a resource inside a multiple resource', '83 06 C1 00 01', [3, 0]],
  ['a resource where instances belong', 'C1 0A 0F', [3]],
  ['an integer of three bytes', 'C3 0A 01 02 03', [3, 0]],
  ['a text that is not UTF-8', 'C1 00 FF', [3, 0]],
  ['the reserved identifier', 'E1 FF FF 00', [3, 0]],
  ['a value of an executable resource', 'C1 04 00', [3, 0]],
] as const) {
  test(`TLV refuses ${what}`, () => {
    assert.throws(() => decodeNodes(LWM2M_TLV, hex(payload), base), { name: 'Lwm2mError', status: 0x80 });
  });
}
