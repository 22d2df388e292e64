// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, type CoapPeer, type CoapResponse, ContentFormat } from '@mbl/coap';
import { message } from '../messages.ts';
import type { Node } from '../node.ts';
import { hex, utf8 } from '../testing/bytes.ts';
import { Conversation } from '../testing/pair.ts';

const { LINK, SENML_JSON, SENML_CBOR, LWM2M_TLV } = ContentFormat;

function send(peer: CoapPeer, payload: Uint8Array, format: number = SENML_JSON): Promise<CoapResponse> {
  return peer.request(message(Code.POST, { path: ['dp'], contentFormat: format, payload }));
}

function register(peer: CoapPeer, links = '</3303/0>'): Promise<CoapResponse> {
  const query = ['ep=board-1', 'lwm2m=1.1', 'lt=300'];
  return peer.request(message(Code.POST, { path: ['rd'], query, contentFormat: LINK, payload: utf8(links) }));
}

const sample = utf8(
  '[{"bn":"/3303/0/5700","bt":1700000000,"v":21},{"t":-60,"v":20.5},{"bn":"/3/0/","n":"9","v":80}]',
);

function start() {
  const sent: Node[] = [];
  const onSend = (_board: unknown, nodes: readonly Node[]) => void sent.push(...nodes);
  return { talk: new Conversation([], {}, { onSend }), sent };
}

test('what a registered client sends is decoded by type, with its times', async () => {
  const { talk, sent } = start();
  const { client } = talk.connect();
  await talk.run(register(client));
  assert.equal((await talk.run(send(client, sample))).code, Code.CHANGED);
  assert.deepEqual(sent, [
    { path: [3303, 0, 5700], value: 21, time: 1_700_000_000 },
    { path: [3303, 0, 5700], value: 20.5, time: 1_699_999_940 },
    { path: [3, 0, 9], value: 80, time: 1_700_000_000 },
  ]);
  sent.length = 0;
  const cbor = hex('81 A2 21 6C 2F333330332F302F35373030 02 F9 4D60');
  assert.equal((await talk.run(send(client, cbor, SENML_CBOR))).code, Code.CHANGED);
  assert.deepEqual(sent, [{ path: [3303, 0, 5700], value: 21.5 }]);
});

test('nothing is taken of a client that is not registered, or over a connection on which it is not', async () => {
  const { talk, sent } = start();
  const { client } = talk.connect();
  assert.equal((await talk.run(send(client, sample))).code, Code.NOT_FOUND);
  await talk.run(register(client));
  const other = talk.connect();
  assert.equal((await talk.run(send(other.client, sample))).code, Code.NOT_FOUND);
  // An update moves the registration; the old connection has it no more.
  const update = message(Code.POST, { path: ['rd', '1'] });
  assert.equal((await talk.run(other.client.request(update))).code, Code.CHANGED);
  assert.equal((await talk.run(send(client, sample))).code, Code.NOT_FOUND);
  assert.equal((await talk.run(send(other.client, sample))).code, Code.CHANGED);
  assert.equal(sent.length, 3);
  await talk.run(other.client.request(message(Code.DELETE, { path: ['rd', '1'] })));
  assert.equal((await talk.run(send(other.client, sample))).code, Code.NOT_FOUND);
});

test('what is no SenML, and no value of its resource, is refused', async () => {
  const { talk, sent } = start();
  const { client } = talk.connect();
  await talk.run(register(client));
  for (const [payload, format, code] of [
    [hex('C1 09 50'), LWM2M_TLV, Code.UNSUPPORTED_CONTENT_FORMAT],
    [utf8('[{"n":"/3303/0/5700","vs":"warm"}]'), SENML_JSON, Code.BAD_REQUEST],
    [utf8('[{"n":"/3303/0/5700"}]'), SENML_JSON, Code.BAD_REQUEST],
    [utf8('[{"n":"/3303"'), SENML_JSON, Code.BAD_REQUEST],
  ] as const) {
    assert.equal((await talk.run(send(client, payload, format))).code, code);
  }
  const get = message(Code.GET, { path: ['dp'] });
  assert.equal((await talk.run(client.request(get))).code, Code.METHOD_NOT_ALLOWED);
  assert.deepEqual(sent, []);
});

test('a server that has no use for it does not serve it', async () => {
  const talk = new Conversation();
  const { client } = talk.connect();
  await talk.run(register(client));
  assert.equal((await talk.run(send(client, sample))).code, Code.NOT_FOUND);
});
