// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat } from '@mbl/coap';
import type { ObjectDefinition } from '../model/definition.ts';
import { omaRegistry } from '../registry/registry.ts';
import type { Lwm2mResponse } from '../server/response.ts';
import { component, testDevice } from '../testing/objects.ts';
import { Conversation } from '../testing/pair.ts';
import type { Lwm2mValue } from '../values.ts';
import { numberedInstance, type ReportingInstance } from './numbered-instance.ts';

const temperature = omaRegistry.model(new Map()).object(3303) as ObjectDefinition;
const own: ObjectDefinition = {
  id: 26_241,
  name: 'Pump',
  version: '1.0',
  multiple: true,
  mandatory: false,
  resources: [
    { id: 0, name: 'Pressure', operations: 'R', type: 'float', multiple: false, mandatory: false },
    { id: 1, name: 'Batch', operations: 'RW', type: 'integer', multiple: false, mandatory: false },
  ],
};

function sensor(instanceId: number, values: Record<number, Lwm2mValue>): ReportingInstance {
  const resources = Object.keys(values).map((id) => [id, { read: () => values[Number(id)] }] as const);
  return numberedInstance(3303, instanceId, Object.fromEntries(resources));
}

/** A registered client that knows both objects. */
async function registered() {
  const talk = new Conversation([testDevice().instance]);
  const board = await talk.register();
  talk.client.define(temperature);
  talk.client.define(own, { isPrivate: true });
  return { talk, board };
}

test('an object of the registry comes to a registered client, and is read with its type', async () => {
  const { talk, board } = await registered();
  talk.client.add(sensor(0, { 5700: 21.5 }));
  talk.client.add(sensor(7, { 5700: 4 }));
  await talk.clock.advance(1000);
  assert.deepEqual(board.paths.slice(-2), [
    [3303, 0],
    [3303, 7],
  ]);
  const answer = await talk.run(board.request({ method: Code.GET, path: '/3303/7/5700' }));
  assert.equal(answer.contentFormat, ContentFormat.TEXT);
  assert.deepEqual(answer.nodes(), [{ path: [3303, 7, 5700], value: 4 }]);
  // Two instances at once are one update.
  assert.deepEqual(talk.events, ['register board-1', 'update objects']);
});

test('an object that no registry has tells its types', async () => {
  const { talk, board } = await registered();
  talk.client.add(numberedInstance(own.id, 0, { 0: 4.0625, 1: 7 }));
  await talk.clock.advance(1000);
  const seen: unknown[] = [];
  const listener = (notification: Lwm2mResponse) => seen.push(notification.nodes()[0]?.value);
  const { first } = await talk.run(board.observe('/26241/0/0', listener));
  assert.deepEqual(first.nodes()[0]?.value, 4.0625);
  talk.client.replace(numberedInstance(own.id, 0, { 0: 5.5, 1: 7 }));
  await talk.clock.advance(1000);
  assert.deepEqual(seen, [5.5]);
});

test('the observation of what goes ends with 4.04; that of what stays goes on', async () => {
  const { talk, board } = await registered();
  const stays = { 5700: 20 };
  const first = sensor(0, stays);
  talk.client.add(first);
  talk.client.add(sensor(1, { 5700: 30 }));
  await talk.clock.advance(1000);
  const codes: Record<string, number[]> = {};
  for (const path of ['/3303/0/5700', '/3303/1/5700', '/3303/1', '/3303']) {
    const seen = (codes[path] = [] as number[]);
    await talk.run(board.observe(path, ({ code }) => seen.push(code)));
  }
  talk.client.remove(3303, 1);
  await talk.clock.advance(1000);
  stays[5700] = 21;
  first.changed(5700);
  await talk.clock.advance(1000);
  assert.deepEqual(codes, {
    '/3303/0/5700': [Code.CONTENT],
    '/3303/1/5700': [Code.NOT_FOUND],
    '/3303/1': [Code.NOT_FOUND],
    '/3303': [Code.CONTENT, Code.CONTENT],
  });
  talk.client.remove(3303, 0);
  await talk.clock.advance(1000);
  assert.equal(codes['/3303']?.at(-1), Code.NOT_FOUND);
  assert.deepEqual(board.paths.at(-1), [3, 0]);
  assert.throws(() => talk.client.define({ ...own, id: 3, resources: [] }), {
    code: 'lwm2m/instance-invalid',
  });
  talk.client.undefine(3303);
  assert.throws(() => talk.client.add(sensor(0, {})), { code: 'lwm2m/instance-invalid' });
});

test('a replaced instance keeps its observations and attributes; a resource that it lacks now is gone', async () => {
  const { talk, board } = await registered();
  talk.client.add(sensor(0, { 5700: 20, 5701: 'Cel' }));
  await talk.clock.advance(1000);
  await talk.run(board.writeAttributes('/3303/0/5700', { pmin: 10 }));
  const seen: number[] = [];
  const units: number[] = [];
  await talk.run(board.observe('/3303/0/5700', (answer) => seen.push(answer.code)));
  await talk.run(board.observe('/3303/0/5701', (answer) => units.push(answer.code)));
  talk.client.replace(sensor(0, { 5700: 25 }));
  await talk.clock.advance(1000);
  assert.deepEqual([seen, units], [[], [Code.NOT_FOUND]]);
  await talk.clock.advance(10_000);
  assert.deepEqual(seen, [Code.CONTENT]);
  assert.deepEqual(talk.events, ['register board-1', 'update objects']);
  // What does not fit leaves the one before.
  assert.throws(() => talk.client.replace(sensor(0, { 1: 'no such resource' })), {
    code: 'lwm2m/instance-invalid',
  });
  assert.equal((await talk.run(board.read('/3303/0/5700')))[0]?.value, 25);
});

test('an instance that comes while the client registers is told right after', async () => {
  const talk = new Conversation([testDevice().instance]);
  const attached = talk.client.attach(talk.connect().client);
  // The list is on its way already.
  for (let i = 0; i < 20; i++) await Promise.resolve();
  talk.client.add(component(0, 'kernel', '6.12'));
  await talk.run(attached);
  await talk.clock.advance(1000);
  const [board] = talk.server.registrations;
  assert.deepEqual(board?.paths.at(-1), [14, 0]);
  assert.deepEqual(talk.events, ['register board-1', 'update objects']);
});
