// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat } from '@mbl/coap';
import { text, utf8 } from '../testing/bytes.ts';
import { decodeNodes, encodeNodes } from './codecs.ts';
import { textToValue, valueToText } from './text.ts';

test('values as text (LwM2M Core 1.1 Appendix C)', () => {
  for (const [type, written, value] of [
    ['string', 'déjà vu', 'déjà vu'],
    ['integer', '-42', -42],
    ['integer', '9223372036854775807', 2n ** 63n - 1n],
    ['unsigned', '18446744073709551615', 2n ** 64n - 1n],
    ['float', '-1.5e-3', -0.0015],
    ['boolean', '1', true],
    ['boolean', '0', false],
    ['time', '1367491215', 1367491215],
    ['objlnk', '66:0', { objectId: 66, instanceId: 0 }],
    ['objlnk', '65535:65535', { objectId: 65535, instanceId: 65535 }],
    ['opaque', 'AQID', Uint8Array.of(1, 2, 3)],
    ['corelnk', '</3/0>', '</3/0>'],
  ] as const) {
    assert.deepEqual(textToValue(written, type), value);
    assert.deepEqual(textToValue(valueToText(value), type), value);
  }
});

test('text of another type is refused', () => {
  for (const [type, written] of [
    ['integer', '1.5'],
    ['integer', ''],
    ['integer', '9223372036854775808'],
    ['unsigned', '-1'],
    ['float', 'one'],
    ['float', '0x10'],
    ['boolean', 'true'],
    ['time', 'now'],
    ['objlnk', '3'],
    ['objlnk', '99999:0'],
    ['opaque', '%'],
    ['none', ''],
  ] as const) {
    assert.throws(() => textToValue(written, type), { name: 'Lwm2mError', status: Code.BAD_REQUEST });
  }
});

test('text/plain carries one value and takes its type from the model', () => {
  assert.deepEqual(decodeNodes(ContentFormat.TEXT, utf8('3600'), [1, 0, 1]), [
    { path: [1, 0, 1], value: 3600 },
  ]);
  assert.deepEqual(decodeNodes(ContentFormat.TEXT, utf8('3600'), [9999, 0, 1]), [
    { path: [9999, 0, 1], value: '3600' },
  ]);
  const nodes = [{ path: [3, 0, 0], value: 'ARM' }];
  assert.equal(text(encodeNodes(ContentFormat.TEXT, nodes, [3, 0, 0])), 'ARM');
  assert.throws(() => encodeNodes(ContentFormat.TEXT, nodes, [3, 0]), { status: Code.NOT_ACCEPTABLE });
  assert.throws(() => decodeNodes(ContentFormat.TEXT, utf8('x'), [3, 0]), { status: Code.BAD_REQUEST });
});

test('octet-stream carries one opaque value', () => {
  const nodes = [{ path: [14, 0, 1], value: Uint8Array.of(1, 2) }];
  assert.deepEqual(encodeNodes(ContentFormat.OCTET_STREAM, nodes, [14, 0, 1]), Uint8Array.of(1, 2));
  assert.deepEqual(decodeNodes(ContentFormat.OCTET_STREAM, Uint8Array.of(1, 2), [14, 0, 1]), nodes);
  assert.throws(() => decodeNodes(ContentFormat.OCTET_STREAM, utf8('1'), [1, 0, 1]), {
    status: Code.BAD_REQUEST,
  });
});

test('an unknown content format is refused with 4.15', () => {
  assert.throws(() => decodeNodes(11541, utf8('{}'), [3, 0]), { status: Code.UNSUPPORTED_CONTENT_FORMAT });
});
