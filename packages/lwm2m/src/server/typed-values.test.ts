// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat, contentFormat, type CoapRequest } from '@mbl/coap';
import { message } from '../messages.ts';
import { hex, utf8 } from '../testing/bytes.ts';
import { Conversation } from '../testing/pair.ts';
import type { Lwm2mValue } from '../values.ts';

const { TEXT, OCTET_STREAM, CBOR, LWM2M_TLV, SENML_JSON, SENML_CBOR } = ContentFormat;

/** A client that registers these links and answers every read with `answer`; `asked` is what it was sent. */
async function registered(links: string, answer: { format?: number; payload: Uint8Array }, version = '1.1') {
  const asked: CoapRequest[] = [];
  const talk = new Conversation();
  const { client } = talk.connect('board-1', (request) => {
    asked.push(request);
    if (request.code !== Code.GET) return message(Code.CHANGED);
    return message(Code.CONTENT, { contentFormat: answer.format, payload: answer.payload });
  });
  const query = ['ep=board-1', `lwm2m=${version}`, 'lt=300'];
  const parts = { path: ['rd'], query, contentFormat: ContentFormat.LINK, payload: utf8(links) };
  assert.equal((await talk.run(client.request(message(Code.POST, parts)))).code, Code.CREATED);
  const board = talk.server.registration('board-1');
  assert.ok(board !== undefined);
  return { talk, board, asked };
}

/** What a read of `path` gives when the client answers these bytes. */
async function read(path: string, format: number | undefined, payload: Uint8Array, links = '</3303/0>') {
  const { talk, board } = await registered(links, { ...(format !== undefined && { format }), payload });
  return (await talk.run(board.read(path))).map((node) => [`/${node.path.join('/')}`, node.value] as const);
}

test('a value of a registered object has its type, whatever the client sends it in', async () => {
  const float = '/3303/0/5700';
  for (const [path, format, payload, expected] of [
    [float, undefined, utf8('21.5'), 21.5],
    [float, TEXT, utf8('21'), 21],
    [float, LWM2M_TLV, hex('E4 16 44 41 AC 00 00'), 21.5],
    [float, LWM2M_TLV, hex('E8 16 44 08 40 35 80 00 00 00 00 00'), 21.5],
    [float, CBOR, hex('F9 4D 60'), 21.5],
    [float, CBOR, hex('15'), 21],
    [float, SENML_JSON, utf8('[{"bn":"/3303/0/5700","v":21.5}]'), 21.5],
    [float, SENML_CBOR, hex('81 A2 21 6C 2F333330332F302F35373030 02 F9 4D60'), 21.5],
    ['/3303/0/5701', LWM2M_TLV, hex('E3 16 45 43 65 6C'), 'Cel'],
    ['/3311/0/5850', LWM2M_TLV, hex('E1 16 DA 01'), true],
    ['/3311/0/5851', LWM2M_TLV, hex('E1 16 DB 32'), 50],
    ['/6/0/5', LWM2M_TLV, hex('C4 05 65 00 00 00'), 0x65000000],
    ['/6/0/5', CBOR, hex('C1 1A 65 00 00 00'), 0x65000000],
    ['/19/0/0', OCTET_STREAM, hex('01 02'), hex('01 02')],
    ['/19/0/0', TEXT, utf8('AQI='), hex('01 02')],
    ['/3336/0/5514', LWM2M_TLV, hex('E5 15 8A 35 32 2E 31 30'), '52.10'],
  ] as readonly (readonly [string, number | undefined, Uint8Array, Lwm2mValue])[]) {
    assert.deepEqual(await read(path, format, payload), [[path, expected]], `${path} in ${format}`);
  }
});

test('an instance in TLV: each of its values by its own type', async () => {
  const payload = hex('E4 16 44 41 AC 00 00  E4 15 E1 C1 20 00 00  E3 16 45 43 65 6C');
  assert.deepEqual(await read('/3303/0', LWM2M_TLV, payload), [
    ['/3303/0/5700', 21.5],
    ['/3303/0/5601', -10],
    ['/3303/0/5701', 'Cel'],
  ]);
});

test('an object that nobody knows stays bytes in TLV, and text in text', async () => {
  assert.deepEqual(await read('/33001/0/1', LWM2M_TLV, hex('C1 01 07')), [['/33001/0/1', hex('07')]]);
  assert.deepEqual(await read('/33001/0/1', undefined, utf8('21.5')), [['/33001/0/1', '21.5']]);
});

test('the version that the client registered says which definition counts', async () => {
  // Object 3415, resource 3: text in version 1.0, an integer in 2.0.
  for (const [links, bytes, expected] of [
    ['</3415/0>', 'C2 03 32 34', '24'],
    ['</3415>;ver=1.0,</3415/0>', 'C2 03 32 34', '24'],
    ['</3415>;ver=2.0,</3415/0>', 'C1 03 18', 24],
    ['</3415>;ver="2.0",</3415/0>', 'C1 03 18', 24],
    ['</l>;rt="oma.lwm2m",</l/3415>;ver=2.0,</l/3415/0>', 'C1 03 18', 24],
    ['</3415>;ver=9.0,</3415/0>', 'C1 03 18', hex('18')],
  ] as const) {
    assert.deepEqual(await read('/3415/0/3', LWM2M_TLV, hex(bytes), links), [['/3415/0/3', expected]], links);
  }
});

test('an update that lists the objects anew changes their types', async () => {
  const { talk, board } = await registered('</3415/0>', { format: LWM2M_TLV, payload: hex('C1 03 18') });
  assert.deepEqual(await talk.run(board.read('/3415/0/3')), [{ path: [3415, 0, 3], value: '\u0018' }]);
  board.apply({ objects: [{ target: '/3415', attributes: new Map([['ver', '2.0']]) }] });
  assert.deepEqual(await talk.run(board.read('/3415/0/3')), [{ path: [3415, 0, 3], value: 24 }]);
});

test('an answer that is not of its type is the client’s mistake: an error without a status', async () => {
  for (const [format, payload] of [
    [LWM2M_TLV, hex('E2 16 44 41 AC')],
    [TEXT, utf8('warm')],
    [CBOR, utf8('warm')],
    [SENML_JSON, utf8('[{"bn":"/3303/0/5700","vs":"warm"}]')],
    [LWM2M_TLV, hex('E4')],
  ] as const) {
    await assert.rejects(
      read('/3303/0/5700', format, payload),
      (error: { code: string; status?: number }) => {
        assert.equal(error.code, 'lwm2m/answer-invalid');
        assert.equal(error.status, undefined);
        return true;
      },
    );
  }
});

test('writes are encoded by type, byte for byte', async () => {
  const { talk, board, asked } = await registered('</3311/0>', { payload: hex('') }, '1.0');
  await talk.run(board.write('/3311/0/5851', 50));
  await talk.run(board.write('/3311/0/5850', true));
  await talk.run(board.write('/19/0/0', hex('01 02')));
  await talk.run(
    board.write('/3311/0', [
      { path: [3311, 0, 5850], value: true },
      { path: [3311, 0, 5820], value: 1 },
      { path: [3311, 0, 5851], value: 200 },
    ]),
  );
  assert.deepEqual(
    asked.map(({ options, payload }) => [contentFormat(options), Buffer.from(payload).toString('hex')]),
    [
      [TEXT, Buffer.from('50').toString('hex')],
      [TEXT, Buffer.from('1').toString('hex')],
      [OCTET_STREAM, '0102'],
      // 5850 one byte; 5820, a float, four bytes although it is whole; 5851, an integer, two bytes.
      [LWM2M_TLV, 'e116da01e416bc3f800000e216db00c8'],
    ],
  );
});

test('where nobody knows the resource, what the writer says is its type', async () => {
  const { talk, board, asked } = await registered('</33001/0>', { payload: hex('') }, '1.0');
  const written = { path: [33_001, 0, 1], value: 1 };
  await talk.run(board.write('/33001/0', [{ ...written, type: 'float' }]));
  await talk.run(board.write('/33001/0', [written]));
  // The registry knows better.
  await talk.run(board.write('/3311/0', [{ path: [3311, 0, 5851], value: 1, type: 'float' }]));
  assert.deepEqual(
    asked.map(({ payload }) => Buffer.from(payload).toString('hex')),
    ['c4013f800000', 'c10101', 'e116db01'],
  );
  await assert.rejects(talk.run(board.write('/33001/0/1', [{ ...written, value: 1.5, type: 'integer' }])));
});

test('a value of another type is refused before anything is sent', async () => {
  const { talk, board, asked } = await registered('</3311/0>', { payload: hex('') });
  for (const [path, value] of [
    ['/3311/0/5851', 1.5],
    ['/3311/0/5851', 1e300],
    ['/3311/0/5850', 1],
    ['/3311/0/5706', 5],
    ['/19/0/0', 'text'],
    ['/3311/0/5805', 'much'],
  ] as const) {
    await assert.rejects(
      talk.run(board.write(path, value)),
      { code: 'lwm2m/value-invalid', status: 0x80 },
      path,
    );
    const nodes = [{ path: path.split('/').slice(1).map(Number), value }];
    await assert.rejects(talk.run(board.write('/' + path.split('/').slice(1, 3).join('/'), nodes)));
  }
  await assert.rejects(talk.run(board.write('/3311/0/5851', 1e300)), {
    message: 'expected a value of type integer, found 1e+300',
  });
  assert.deepEqual(asked, []);
});
