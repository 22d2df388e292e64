// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat } from '@mbl/coap';
import { resourceTable } from '../model/definition.ts';
import { ObjectModel, standardModel } from '../model/model.ts';
import { ObjectRegistry } from '../registry/registry.ts';
import type { Registration } from '../server/registration.ts';
import { Conversation } from '../testing/pair.ts';
import type { ResourceValue } from '../values.ts';
import { numberedInstance } from './numbered-instance.ts';

/** An object with a writable multiple resource and a write-only one; the standard ones have neither. */
const model = new ObjectModel([
  ...standardModel.objects,
  {
    id: 33000,
    name: 'test',
    version: '1.0',
    multiple: true,
    mandatory: false,
    resources: resourceTable([
      [0, 'Names', 'RW', 'multiple', 'optional', 'string'],
      [1, 'Secret', 'W', 'single', 'optional', 'string'],
    ]),
  },
]);

async function start(): Promise<{
  talk: Conversation;
  board: Registration<string>;
  names: () => unknown;
  secret: () => unknown;
}> {
  const values = new Map<number, ResourceValue>([
    [
      0,
      new Map([
        [0, 'a'],
        [1, 'b'],
      ]),
    ],
  ]);
  const held = (id: number) => ({
    read: () => values.get(id),
    write: (value: ResourceValue) => void values.set(id, value),
  });
  const instance = numberedInstance(33000, 0, { 0: held(0), 1: held(1) });
  const talk = new Conversation([instance], { model }, { registry: new ObjectRegistry(model.objects) });
  const board = await talk.register();
  return { talk, board, names: () => values.get(0), secret: () => values.get(1) };
}

test('replacing a multiple resource leaves only what is named', async () => {
  const { talk, board, names } = await start();
  await talk.run(board.write('/33000/0/0', [{ path: [33000, 0, 0, 5], value: 'c' }]));
  assert.deepEqual(names(), new Map([[5, 'c']]));
  const empty = { method: Code.PUT, path: '/33000/0/0', contentFormat: ContentFormat.LWM2M_TLV };
  assert.equal(
    (await talk.run(board.request({ ...empty, payload: Uint8Array.of(0x80, 0) }))).code,
    Code.CHANGED,
  );
  assert.deepEqual(names(), new Map());
});

test('updating a multiple resource keeps what is not named', async () => {
  const { talk, board, names } = await start();
  const nodes = [{ path: [33000, 0, 0, 1], value: 'c' }];
  await talk.run(board.write('/33000/0', nodes, { mode: 'update' }));
  assert.deepEqual(
    names(),
    new Map([
      [0, 'a'],
      [1, 'c'],
    ]),
  );
  await talk.run(board.write('/33000/0/0', [{ path: [33000, 0, 0, 2], value: 'd' }], { mode: 'update' }));
  assert.deepEqual(
    names(),
    new Map([
      [0, 'a'],
      [1, 'c'],
      [2, 'd'],
    ]),
  );
});

test('one resource instance is written by its own path', async () => {
  const { talk, board, names } = await start();
  await talk.run(board.write('/33000/0/0/1', 'c'));
  assert.deepEqual(
    names(),
    new Map([
      [0, 'a'],
      [1, 'c'],
    ]),
  );
});

test('a write-only resource is never read', async () => {
  const { talk, board, secret } = await start();
  await talk.run(board.write('/33000/0/1', 'hidden'));
  assert.equal(secret(), 'hidden');
  const nodes = await talk.run(board.read('/33000/0'));
  assert.deepEqual(
    nodes.map(({ path }) => path[2]),
    [0, 0],
  );
  await assert.rejects(talk.run(board.read('/33000/0/1')), { status: Code.METHOD_NOT_ALLOWED });
});
