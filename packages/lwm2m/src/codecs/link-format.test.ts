// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { text, utf8 } from '../testing/bytes.ts';
import type { Link } from './link-format.ts';
import { decodeLinks, encodeLinks, linkPath } from './link-format.ts';

function link(target: string, attributes: Record<string, string | null> = {}): Link {
  return { target, attributes: new Map(Object.entries(attributes)) };
}

test("RFC 6690's examples (§5)", () => {
  assert.deepEqual(
    decodeLinks(utf8('</sensors>;ct=40;title="Sensor Index",</sensors/temp>;rt="temperature-c";if="sensor"')),
    [
      link('/sensors', { ct: '40', title: 'Sensor Index' }),
      link('/sensors/temp', { rt: 'temperature-c', if: 'sensor' }),
    ],
  );
  assert.deepEqual(
    decodeLinks(utf8('<http://www.example.com/sensors/t123>;anchor="/sensors/temp";rel="describedby"')),
    [link('http://www.example.com/sensors/t123', { anchor: '/sensors/temp', rel: 'describedby' })],
  );
});

test('a registration of LwM2M 1.1 (Core 1.1 §6.2.1)', () => {
  const payload = '</>;rt="oma.lwm2m";ct="110 112",</1>;ver=1.1,</1/0>,</3/0>,</5>;ver=1.1,</5/0>';
  const links = decodeLinks(utf8(payload));
  assert.deepEqual(links[0], link('/', { rt: 'oma.lwm2m', ct: '110 112' }));
  assert.deepEqual(
    links.map((each) => linkPath(each)),
    [[], [1], [1, 0], [3, 0], [5], [5, 0]],
  );
  assert.equal(text(encodeLinks(links)), payload);
});

test("what Pelion's client adds is kept: values, automatic observations, flags, deleted resources", () => {
  const payload =
    '</3/0/21>;obs,</3/0/2>;v="0";aobs="51",</10255/0/3>;rt="Vendor";v="PiPm8UH+QFib56C2RBabqA==";aobs="47",</5000/0/1>;d';
  assert.deepEqual(decodeLinks(utf8(payload)), [
    link('/3/0/21', { obs: null }),
    link('/3/0/2', { v: '0', aobs: '51' }),
    link('/10255/0/3', { rt: 'Vendor', v: 'PiPm8UH+QFib56C2RBabqA==', aobs: '47' }),
    link('/5000/0/1', { d: null }),
  ]);
});

test('an alternate path is taken off', () => {
  const [first, second] = decodeLinks(utf8('</lwm2m/3/0>,</well-known>'));
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual(linkPath(first, '/lwm2m'), [3, 0]);
  assert.equal(linkPath(second, '/lwm2m'), undefined);
  assert.equal(linkPath(first), undefined);
});

test('quotes, backslashes, commas and semicolons inside quoted values', () => {
  const links = [link('/a', { title: 'a "b", \\ ; <c>', x: '' }), link('/b')];
  assert.deepEqual(decodeLinks(encodeLinks(links)), links);
});

test('spaces around separators are passed over, no links are no links', () => {
  assert.deepEqual(decodeLinks(utf8(' </1/0> ; ver = 1.1 , </3/0> ')), [
    link('/1/0', { ver: '1.1' }),
    link('/3/0'),
  ]);
  assert.deepEqual(decodeLinks(utf8('')), []);
});

for (const payload of [
  '</1/0',
  '/1/0',
  '</1/0>,',
  '</1/0>;',
  '</1/0> </3/0>',
  '</1/0>;v="a',
  '</1/0>;="a"',
]) {
  test(`link-format refuses ${payload}`, () => {
    assert.throws(() => decodeLinks(utf8(payload)), { name: 'Lwm2mError', code: 'lwm2m/payload-invalid' });
  });
}

test('an attribute that is repeated keeps its first value', () => {
  assert.deepEqual(decodeLinks(utf8('</3/0>;v="1";v="2"')), [link('/3/0', { v: '1' })]);
});

test('a link with too many attributes is refused', () => {
  const attributes = Array.from({ length: 70 }, (_, index) => `;a${index}`).join('');
  assert.throws(() => decodeLinks(utf8(`</1/0>${attributes}`)), { code: 'lwm2m/payload-invalid' });
});
