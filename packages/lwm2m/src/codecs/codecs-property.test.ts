// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContentFormat } from '@mbl/coap';
import { encode as cborEncode } from 'cborg';
import fc from 'fast-check';
import { Lwm2mError } from '../errors.ts';
import { parseExecuteArguments } from '../execute-arguments.ts';
import { standardModel } from '../model/model.ts';
import { formatPath, parsePath } from '../path.ts';
import { instanceNodes, valueOf } from '../testing/arbitraries.ts';
import { utf8 } from '../testing/bytes.ts';
import { decodeNodes, decodePaths, encodeNodes } from './codecs.ts';
import { decodeLinks, encodeLinks } from './link-format.ts';

const composite = [
  ContentFormat.SENML_JSON,
  ContentFormat.SENML_CBOR,
  ContentFormat.LWM2M_TLV,
  ContentFormat.LWM2M_JSON,
];
const everyFormat = [...composite, ContentFormat.TEXT, ContentFormat.CBOR, ContentFormat.OCTET_STREAM];

test('instances survive every format that can carry them', () => {
  fc.assert(
    fc.property(fc.constantFrom(...composite), instanceNodes, (format, { base, nodes }) => {
      assert.deepEqual(decodeNodes(format, encodeNodes(format, nodes, base), base), nodes);
      const [objectId] = base;
      assert.deepEqual(decodeNodes(format, encodeNodes(format, nodes, [objectId]), [objectId]), nodes);
    }),
  );
});

test('single resources survive every format that can carry them', () => {
  const resources = [...standardModel.objects].flatMap(({ id, resources: all }) =>
    all.filter(({ type }) => type !== 'none').map((resource) => ({ objectId: id, resource })),
  );
  const single = fc.constantFrom(...resources).chain(({ objectId, resource }) =>
    valueOf(resource.type).map((value) => ({
      type: resource.type,
      path: resource.multiple ? [objectId, 1, resource.id, 7] : [objectId, 1, resource.id],
      value,
    })),
  );
  fc.assert(
    fc.property(fc.constantFrom(...everyFormat), single, (format, { type, path, value }) => {
      fc.pre(format !== ContentFormat.OCTET_STREAM || type === 'opaque');
      const nodes = [{ path, value }];
      assert.deepEqual(decodeNodes(format, encodeNodes(format, nodes, path), path), nodes);
    }),
    { numRuns: 400 },
  );
});

test('links survive link-format', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/);
  const value = fc.option(fc.string({ unit: 'grapheme' }));
  const target = fc.string({ unit: 'grapheme' }).filter((text) => !/[<>\p{Cc}]/u.test(text));
  const attributes = fc
    .uniqueArray(fc.tuple(name, value), { selector: ([key]) => key })
    .map((all) => new Map(all));
  const link = fc.record({ target, attributes }, { noNullPrototype: true });
  fc.assert(fc.property(fc.array(link), (links) => assert.deepEqual(decodeLinks(encodeLinks(links)), links)));
});

test('paths survive their text', () => {
  const path = fc.array(fc.integer({ min: 0, max: 65534 }), { maxLength: 4 });
  fc.assert(fc.property(path, (ids) => assert.deepEqual(parsePath(formatPath(ids)), ids)));
});

function onlyOurError(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof Lwm2mError)) throw error;
  }
}

const anyPath = fc.oneof(
  fc.constantFrom([], [3], [3, 0], [3, 0, 0], [3, 0, 6], [3, 0, 6, 1], [14, 0, 1], [0, 0], [9999, 1]),
  fc.array(fc.integer({ min: 0, max: 65534 }), { maxLength: 4 }),
);

test('bytes from outside make every decoder answer or throw Lwm2mError', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...everyFormat),
      fc.uint8Array({ maxLength: 200 }),
      anyPath,
      (format, bytes, path) => {
        onlyOurError(() => decodeNodes(format, bytes, path));
        onlyOurError(() => decodePaths(format, bytes));
        onlyOurError(() => decodeLinks(bytes));
      },
    ),
    { numRuns: 5000 },
  );
});

test('JSON and CBOR of any shape make SenML answer or throw Lwm2mError', () => {
  const label = fc.constantFrom('bn', 'bt', 'n', 't', 'v', 'vs', 'vb', 'vd', 'vlo', 'bver', 's', 'u', 'x_');
  const content = fc.oneof(fc.constantFrom('/3/0/9', '/3/0/', '0', '66:0', 'AQID', 10), fc.jsonValue());
  const records = fc.array(fc.oneof(fc.dictionary(label, content), fc.jsonValue()));
  const cborLabel = fc.oneof(fc.integer({ min: -7, max: 9 }), fc.constant('vlo'));
  const item = fc.oneof(content, fc.uint8Array(), fc.double(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
  const maps = fc.array(fc.array(fc.tuple(cborLabel, item)).map((entries) => new Map(entries)));
  fc.assert(
    fc.property(records, maps, anyPath, (json, cbor, path) => {
      onlyOurError(() => decodeNodes(ContentFormat.SENML_JSON, utf8(JSON.stringify(json)), path));
      onlyOurError(() => decodeNodes(ContentFormat.SENML_CBOR, cborEncode(cbor), path));
      onlyOurError(() => decodePaths(ContentFormat.SENML_CBOR, cborEncode(cbor)));
    }),
    { numRuns: 1000 },
  );
});

test('valid payloads with flipped bytes make every decoder answer or throw Lwm2mError', () => {
  const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(fc.constantFrom(...composite), instanceNodes, flips, (format, { base, nodes }, damage) => {
      const payload = encodeNodes(format, nodes, base);
      for (const [at, mask] of damage) {
        const index = at % payload.length;
        payload[index] = (payload[index] ?? 0) ^ mask;
      }
      onlyOurError(() => decodeNodes(format, payload, base));
    }),
    { numRuns: 1000 },
  );
});

test('link-format near the grammar makes the decoder answer or throw Lwm2mError', () => {
  const piece = fc.constantFrom(
    '</3/0>',
    '<',
    '>',
    ';',
    ',',
    '=',
    '"',
    '\\',
    'obs',
    'v="1"',
    'ver=1.1',
    ' ',
    '\n',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) =>
      onlyOurError(() => decodeLinks(utf8(pieces.join('')))),
    ),
    { numRuns: 3000 },
  );
});

test('text makes the parsers of paths and execute arguments answer or throw Lwm2mError', () => {
  const near = fc
    .array(fc.constantFrom('0', '5', '9', '=', "'", ',', '/', '-', 'x', '65535'))
    .map((all) => all.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.string(), near), (text) => {
      onlyOurError(() => parsePath(text));
      onlyOurError(() => parseExecuteArguments(text));
    }),
    { numRuns: 3000 },
  );
});

test('payloads at the limits are decoded or refused in bounded time', () => {
  const megabyte = 1 << 20;
  const hostile: [number, Uint8Array][] = [
    [ContentFormat.SENML_JSON, utf8('['.repeat(megabyte))],
    [ContentFormat.SENML_JSON, utf8(`[${'{"n":"/3/0/9","v":1},'.repeat(20_000)}{}]`)],
    [ContentFormat.SENML_CBOR, new Uint8Array(megabyte).fill(0x81)],
    [ContentFormat.SENML_CBOR, Uint8Array.of(0x9b, 0, 0, 0, 1, 0, 0, 0, 0)],
    [ContentFormat.LWM2M_TLV, new Uint8Array(megabyte)],
    [ContentFormat.TEXT, new Uint8Array(megabyte + 1)],
    [ContentFormat.TEXT, new Uint8Array(megabyte).fill(0x39)],
  ];
  const startedAt = performance.now();
  for (const [format, payload] of hostile) {
    assert.throws(() => decodeNodes(format, payload, [3, 0, 9]), Lwm2mError);
    assert.throws(() => decodeNodes(format, payload, [3]), Lwm2mError);
  }
  for (const text of [
    '<'.repeat(megabyte),
    `</a>;v="${'\\a'.repeat(500_000)}`,
    `</a>;v="${'a'.repeat(1_000_000)}`,
  ]) {
    assert.throws(() => decodeLinks(utf8(text)), Lwm2mError);
  }
  assert.equal(
    decodeLinks(utf8(`</a>;v="${'\\a'.repeat(500_000)}"`))[0]?.attributes.get('v')?.length,
    500_000,
  );
  assert.throws(() => parseExecuteArguments('0,'.repeat(100_000)), Lwm2mError);
  assert.ok(performance.now() - startedAt < 5000);
});
