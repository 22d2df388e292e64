// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat, contentFormat, type CoapRequest } from '@mbl/coap';
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

const { LWM2M_TLV, SENML_JSON, SENML_CBOR } = ContentFormat;

test('several values go in a format that the client registered, or that its version has to know', async () => {
  for (const [version, links, format] of [
    ['1.0', '</1/0>', LWM2M_TLV],
    ['1.0', '</>;rt="oma.lwm2m";ct=11543,</1/0>', LWM2M_TLV],
    ['1.0', '</>;rt="oma.lwm2m";ct="110",</1/0>', SENML_JSON],
    ['1.1', '</1/0>', SENML_JSON],
    ['1.1', '</>;rt="oma.lwm2m";ct=11542,</1/0>', LWM2M_TLV],
    ['1.1', '</>;rt="oma.lwm2m";ct="60 112",</1/0>', SENML_CBOR],
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
