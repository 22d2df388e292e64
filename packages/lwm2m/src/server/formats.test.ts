// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat, contentFormat, type CoapRequest, uriPath } from '@mbl/coap';
import { message } from '../messages.ts';
import { utf8 } from '../testing/bytes.ts';
import { Conversation } from '../testing/pair.ts';

/** A client that registers with these links, and what it is sent. */
async function registered(version: string, links: string) {
  const asked: CoapRequest[] = [];
  const talk = new Conversation();
  const { client } = talk.connect('board-1', (request) => {
    asked.push(request);
    return message(request.code === Code.PUT ? Code.CHANGED : Code.CREATED, { location: ['1', '7'] });
  });
  const query = ['ep=board-1', `lwm2m=${version}`, 'lt=300'];
  const parts = { path: ['rd'], query, contentFormat: ContentFormat.LINK, payload: utf8(links) };
  assert.equal((await talk.run(client.request(message(Code.POST, parts)))).code, Code.CREATED);
  const board = talk.server.registration('board-1');
  assert.ok(board !== undefined);
  return { talk, board, asked };
}

const { LWM2M_JSON, LWM2M_TLV, SENML_JSON, SENML_CBOR } = ContentFormat;

test('several values go in a format that the client registered, or that its version has to know', async () => {
  for (const [version, links, format] of [
    ['1.0', '</1/0>', LWM2M_TLV],
    ['1.0', '</>;rt="oma.lwm2m";ct=11543,</1/0>', LWM2M_JSON],
    ['1.0', '</>;rt="oma.lwm2m";ct="11543 11542",</1/0>', LWM2M_TLV],
    ['1.0', '</>;rt="oma.lwm2m";ct="110",</1/0>', SENML_JSON],
    ['1.1', '</1/0>', SENML_JSON],
    ['1.1', '</>;rt="oma.lwm2m";ct=11542,</1/0>', LWM2M_TLV],
    ['1.1', '</>;rt="oma.lwm2m";ct="60 112",</1/0>', SENML_CBOR],
    ['1.1', '</>;ct=112,</1/0>', SENML_CBOR],
    ['1.1', '</>;rt="oma.lwm2m";ct="11542 112 110",</1/0>', SENML_JSON],
  ] as const) {
    const { talk, board, asked } = await registered(version, links);
    await talk.run(board.write('/1/0', [{ path: [1, 0, 1], value: 300 }]));
    await talk.run(board.create(1, [{ path: [1, 7, 1], value: 300 }]));
    assert.deepEqual(
      asked.map(({ options }) => contentFormat(options)),
      [format, format],
      `${version} ${links}`,
    );
  }
});

test('a client of version 1.0: TLV byte for byte, and the new instance that it names', async () => {
  const { talk, board, asked } = await registered('1.0', '</1/0>');
  await talk.run(
    board.write('/1/0', [
      { path: [1, 0, 1], value: 300 },
      { path: [1, 0, 6], value: true },
    ]),
  );
  const created = await talk.run(board.create(1, [{ path: [1, 7, 1], value: 300 }]));
  assert.deepEqual(created, [1, 7]);
  assert.deepEqual(
    asked.map(({ payload }) => Buffer.from(payload).toString('hex')),
    // Resource 1, two bytes; resource 6, one byte; instance 7 of four bytes (LwM2M Core 1.0 §6.4.3).
    ['c201012cc10601', '0407c201012c'],
  );
});

test('resource instances are updated by a POST to their object instance: one to the resource would be Execute', async () => {
  for (const [version, payload] of [
    // Resource 6 of two bytes, in it instance 1 of one byte, 7 (LwM2M Core 1.0 §6.4.3).
    ['1.0', '8306410107'],
    ['1.1', Buffer.from('[{"bn":"/3/0/","n":"6/1","v":7}]').toString('hex')],
  ] as const) {
    const { talk, board, asked } = await registered(version, '</3/0>');
    await talk.run(board.write('/3/0/6', [{ path: [3, 0, 6, 1], value: 7 }], { mode: 'update' }));
    const [{ code, options, payload: sent } = message(0)] = asked;
    assert.deepEqual([code, uriPath(options).join('/')], [Code.POST, '3/0']);
    assert.equal(Buffer.from(sent).toString('hex'), payload);
  }
});

test('composite operations, byte for byte, in SenML that the client has', async () => {
  const { talk, board, asked } = await registered('1.1', '</>;rt="oma.lwm2m";ct="60 112",</3/0>');
  // What comes back is no SenML here, and not looked at.
  await assert.rejects(talk.run(board.readComposite(['/3/0/0', '/4'])));
  await talk.run(board.writeComposite([{ path: [3, 0, 15], value: 'Z' }]).catch(() => {}));
  assert.deepEqual(
    asked.map(({ code, options, payload }) => [
      code,
      contentFormat(options),
      Buffer.from(payload).toString('hex'),
    ]),
    [
      // [{0: "/3/0/0"}, {0: "/4"}]; [{-2: "/", 0: "3/0/15", 3: "Z"}] (RFC 8428 §6).
      [Code.FETCH, SENML_CBOR, '82a100662f332f302f30a100622f34'],
      [Code.IPATCH, SENML_CBOR, '81a321612f0066332f302f313503615a'],
    ],
  );
});

test('a client without SenML, or of version 1.0, is sent no composite operation', async () => {
  for (const [version, links, status] of [
    ['1.0', '</>;rt="oma.lwm2m";ct=110,</3/0>', Code.METHOD_NOT_ALLOWED],
    ['1.1', '</>;rt="oma.lwm2m";ct=11542,</3/0>', Code.UNSUPPORTED_CONTENT_FORMAT],
    ['1.1', '</>;rt="oma.lwm2m";ct=11543,</3/0>', Code.UNSUPPORTED_CONTENT_FORMAT],
  ] as const) {
    const { talk, board, asked } = await registered(version, links);
    await assert.rejects(talk.run(board.readComposite(['/3/0/0'])), { status });
    await assert.rejects(talk.run(board.writeComposite([{ path: [3, 0, 15], value: 'Z' }])), { status });
    assert.deepEqual(asked, []);
  }
});
