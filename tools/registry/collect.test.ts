// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, render } from './collect.ts';
import { readObjectFile } from './object-file.ts';
import { readXml, XmlError } from './xml-tree.ts';

const notice = `<!-- Copyright 2020 Example Alliance. All rights reserved.
  Redistribution and use in source and binary forms, with or without modification, are permitted …
  3. Neither the name of the copyright holder … -->`;

const item = (id: number, fields: string): string => `<Item ID="${id}">${fields}</Item>`;
const fields = (name: string, operations: string, type: string, more = ''): string =>
  `<Name>${name}</Name><Operations>${operations}</Operations><MultipleInstances>Single</MultipleInstances>` +
  `<Mandatory>Optional</Mandatory><Type>${type}</Type>${more}<Description>Longer.</Description>`;

/** A file of the registry, as its schema wants it. */
function file(id: number, version: string, items: string, comment = notice): string {
  return `\uFEFF<?xml version="1.0" encoding="UTF-8"?>
${comment}
<LWM2M xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <Object ObjectType="MODefinition">
    <Name>Weather &amp;
      wind</Name>
    <Description1><![CDATA[One, <two>.]]></Description1>
    <ObjectID>${id}</ObjectID>
    <ObjectURN>urn:oma:lwm2m:ext:${id}:${version}</ObjectURN>
    <LWM2MVersion>1.0</LWM2MVersion>
    <ObjectVersion>${version}</ObjectVersion>
    <MultipleInstances>Multiple</MultipleInstances>
    <Mandatory>Optional</Mandatory>
    <Resources>${items}</Resources>
    <Description2></Description2>
  </Object>
</LWM2M>`;
}

const items = [
  item(7, fields('Reset', 'E', '')),
  item(2, fields('Speed', 'R', 'Float', '<RangeEnumeration>0..100</RangeEnumeration><Units>m/s</Units>')),
  item(
    3,
    fields('Count', 'RW', 'Unsigned Integer', '<RangeEnumeration>1,2</RangeEnumeration><Units></Units>'),
  ),
  item(4, fields('Place', 'RW', ' string ', '<Units>m</Units>')),
  item(5, fields('Odd', 'R', 'Tensor')),
].join('');

test('reads the facts of an object', () => {
  const [read, ...more] = readObjectFile(file(3999, '1.1', items));
  assert.equal(more.length, 0);
  assert.deepEqual(read, {
    object: {
      id: 3999,
      name: 'Weather & wind',
      version: '1.1',
      multiple: true,
      mandatory: false,
      resources: [
        [2, 'Speed', 'R', 'single', 'optional', 'float', 'm/s', '0..100'],
        [3, 'Count', 'RW', 'single', 'optional', 'unsigned', '', '1,2'],
        [4, 'Place', 'RW', 'single', 'optional', 'string', 'm'],
        [7, 'Reset', 'E', 'single', 'optional', 'none'],
      ],
    },
    copyright: '2020 Example Alliance. All rights reserved.',
    skipped: ['resource 5 has the type "tensor"'],
  });
});

test('keeps the newest definition of each major version that is licensed, and says what it left out', () => {
  const one = item(1, fields('A', 'R', 'Integer'));
  const two = item(1, fields('A', 'R', 'Integer')) + item(2, fields('B', 'R', 'Time'));
  const collection = collect([
    { name: '3999.xml', text: file(3999, '1.10', two) },
    { name: '3999-1_9.xml', text: file(3999, '1.9', one) },
    { name: '3999-2_0.xml', text: file(3999, '2.0', one) },
    { name: '12.xml', text: file(12, '', one) },
    { name: '13.xml', text: file(13, '1.0', one, '<!-- All rights reserved. -->') },
    { name: '14.xml', text: file(14, '1.0', one).replace('</Object>', '') },
    { name: '15.xml', text: file(15, '1.0', item(5, fields('Odd', 'R', ''))) },
    { name: '20000.xml', text: file(20_000, '1.0', one) },
  ]);
  assert.deepEqual(
    collection.objects.map(({ id, version, resources }) => [id, version, resources.length]),
    [
      [12, '1.0', 1],
      [15, '1.0', 0],
      [3999, '1.10', 2],
      [3999, '2.0', 1],
    ],
  );
  assert.deepEqual(collection.copyrights, ['2020 Example Alliance']);
  assert.equal(collection.leftOut.length, 3);
  assert.match(collection.leftOut[0] ?? '', /^13\.xml: no notice/);
  assert.match(collection.leftOut[1] ?? '', /^14\.xml: line 19: /);
  assert.equal(collection.leftOut[2], 'object 15 1.0: resource 5 has the type ""');
  const text = render(collection, 'a'.repeat(40));
  assert.deepEqual(JSON.parse(text).objects, collection.objects);
  assert.match(text, /^ {6}\[1,"A","R","single","optional","integer"\],$/m);
});

for (const [what, text] of [
  ['an element that does not end', '<a><b></a>'],
  ['no element', ''],
  ['two at the top', '<a/><b/>'],
  ['text behind the end', '<a/>b'],
  ['a document type', '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'],
  ['an entity that nobody defined', '<a>&x;</a>'],
  ['an attribute without quotes', '<a b=c/>'],
  ['too deep', '<a>'.repeat(40) + '</a>'.repeat(40)],
  ['too many elements', `<a>${'<b/>'.repeat(50_001)}</a>`],
  ['too long', `<a>${' '.repeat(1 << 20)}</a>`],
] as const) {
  test(`XML: refuses ${what}`, () => {
    assert.throws(() => readXml(text), XmlError);
  });
}

for (const [what, change] of [
  ['another element at the top', (text: string) => text.replaceAll('LWM2M', 'DDF')],
  ['an identifier that is none', (text: string) => text.replace('<ObjectID>3999', '<ObjectID>70000')],
  ['two names', (text: string) => text.replace('<ObjectID>', '<Name>x</Name><ObjectID>')],
  ['a version that is none', (text: string) => text.replace('<ObjectVersion>1.1', '<ObjectVersion>new')],
  ['an unknown operation', (text: string) => text.replace('<Operations>RW', '<Operations>RX')],
  ['neither single nor multiple', (text: string) => text.replace('Single', 'Few')],
] as const) {
  test(`an object: refuses ${what}`, () => {
    const changed = change(file(3999, '1.1', items));
    assert.notEqual(changed, file(3999, '1.1', items));
    assert.throws(() => readObjectFile(changed), XmlError);
  });
}
