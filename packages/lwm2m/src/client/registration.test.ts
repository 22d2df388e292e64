// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoapRequest, RequestHandler } from '@mbl/coap';
import { Code, contentFormat, locationPathOptions, uriPath, uriQuery } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import { text } from '../testing/bytes.ts';
import { component, testDevice } from '../testing/objects.ts';
import { Conversation } from '../testing/pair.ts';
import { Lwm2mClient } from './client.ts';
import { numberedInstance } from './numbered-instance.ts';
import { serverObject } from './server-object.ts';

/** A server that answers from a list of codes and keeps what it was asked. */
function scripted(codes: readonly number[]): { handler: RequestHandler; requests: CoapRequest[] } {
  const requests: CoapRequest[] = [];
  return {
    requests,
    handler: (request) => {
      const code = codes[requests.length] ?? Code.INTERNAL_SERVER_ERROR;
      requests.push(request);
      const options = code === Code.CREATED ? locationPathOptions(`rd/${requests.length}`) : [];
      return { code, options, payload: new Uint8Array() };
    },
  };
}

/** A conversation whose server side is a script. */
function scriptedConversation(codes: readonly number[]) {
  const talk = new Conversation([testDevice().instance, numberedInstance(0, 0, { 0: 'coaps+tcp://x' })]);
  const script = scripted(codes);
  talk.serve = () => script.handler;
  return { talk, requests: script.requests };
}

test('Register says who, how long and what; object 0 stays unsaid (LwM2M Core 1.1 §6.2.1)', async () => {
  const { talk, requests } = scriptedConversation([Code.CREATED]);
  await talk.run(talk.client.attach(talk.connect().client));
  const [request] = requests;
  assert.ok(request !== undefined);
  assert.equal(request.code, Code.POST);
  assert.deepEqual(uriPath(request.options), ['rd']);
  assert.deepEqual(uriQuery(request.options), ['ep=board-1', 'lt=300', 'lwm2m=1.1', 'b=T']);
  assert.equal(contentFormat(request.options), 40);
  assert.equal(
    text(request.payload),
    '</>;rt="oma.lwm2m";ct="110 112 11542",</1>;ver=1.1,</1/0>,</3>;ver=1.1,</3/0>',
  );
  assert.deepEqual(talk.states, [
    { state: 'registering' },
    { state: 'registered', location: 'rd/1', lifetime: 300 },
  ]);
});

test('updates keep the registration beyond its lifetime', async () => {
  const talk = new Conversation([testDevice().instance]);
  await talk.register();
  await talk.clock.advance(3_600_000);
  assert.deepEqual(talk.events.slice(0, 2), ['register board-1', 'update']);
  assert.equal(talk.events.length, 1 + 15);
  assert.ok(talk.client.registered);
  assert.deepEqual(talk.stateNames().slice(0, 3), ['registering', 'registered', 'updated']);
});

test('a short lifetime is renewed half-way, a long one a minute before its end', async () => {
  for (const [lifetime, updatedBy, notBy] of [
    [60, 31, 29],
    [86_400, 86_341, 86_339],
  ] as const) {
    const talk = new Conversation([], { objects: [serverObject({ lifetime })] });
    await talk.register();
    await talk.clock.advance(notBy * 1000);
    assert.equal(talk.events.length, 1);
    await talk.clock.advance((updatedBy - notBy) * 1000);
    assert.equal(talk.events.length, 2);
  }
});

test('Registration Update Trigger 1/0/8 updates', async () => {
  const talk = new Conversation();
  const board = await talk.register();
  await talk.run(board.execute('/1/0/8'));
  await talk.clock.advance(1000);
  assert.deepEqual(talk.events, ['register board-1', 'update']);
});

test('a write of the lifetime 1/0/1 is answered and told by an update', async () => {
  const kept: [number, unknown][] = [];
  const talk = new Conversation([], {
    objects: [serverObject({ lifetime: 300, onWrite: (...written) => kept.push(written) })],
  });
  const board = await talk.register();
  await talk.run(board.write('/1/0/1', 7200));
  await talk.clock.advance(1000);
  assert.deepEqual(talk.events, ['register board-1', 'update lifetime']);
  assert.equal(board.lifetime, 7200);
  assert.deepEqual(kept, [[1, 7200]]);
  await talk.clock.advance(7_000_000);
  assert.equal(talk.events.length, 2);
});

test('a write that its keeper refuses changes nothing', async () => {
  const onWrite = () => {
    throw new Lwm2mError('test/refused', 'not that one', { status: Code.BAD_REQUEST });
  };
  const talk = new Conversation([], { objects: [serverObject({ lifetime: 300, onWrite })] });
  const board = await talk.register();
  await assert.rejects(talk.run(board.write('/1/0/1', 0)), { status: Code.BAD_REQUEST });
  await talk.clock.advance(3_600_000);
  assert.deepEqual(talk.stateNames().slice(0, 3), ['registering', 'registered', 'updated']);
  assert.ok(talk.client.registered);
});

test('1/0/6 says that no notification is stored while offline, and is not told otherwise', async () => {
  const talk = new Conversation();
  const board = await talk.register();
  const stores = async () => (await talk.run(board.read('/1/0/6')))[0]?.value;
  assert.equal(await stores(), false);
  await talk.run(board.write('/1/0/6', false));
  await assert.rejects(talk.run(board.write('/1/0/6', true)), { status: Code.METHOD_NOT_ALLOWED });
  assert.equal(await stores(), false);
});

test('instances that come and go are told by an update', async () => {
  const talk = new Conversation([testDevice().instance]);
  const board = await talk.register();
  talk.client.add(component(0, 'kernel', '6.12'));
  await talk.clock.advance(1000);
  assert.deepEqual(board.paths.at(-1), [14, 0]);
  talk.client.remove(14, 0);
  await talk.clock.advance(1000);
  assert.deepEqual(board.paths.at(-1), [3, 0]);
  assert.deepEqual(talk.events, ['register board-1', 'update objects', 'update objects']);
});

test('an update to a server that forgot the registration registers again', async () => {
  const { talk, requests } = scriptedConversation([Code.CREATED, Code.NOT_FOUND, Code.CREATED]);
  await talk.run(talk.client.attach(talk.connect().client));
  await talk.run(talk.client.update());
  assert.deepEqual(
    requests.map(({ options }) => uriPath(options).join('/')),
    ['rd', 'rd/1', 'rd'],
  );
  assert.deepEqual(talk.stateNames(), ['registering', 'registered', 'registering', 'registered']);
});

test('a refused registration rejects with the code and is lost', async () => {
  const { talk } = scriptedConversation([Code.FORBIDDEN]);
  await assert.rejects(talk.run(talk.client.attach(talk.connect().client)), {
    name: 'Lwm2mError',
    code: 'lwm2m/refused',
    status: Code.FORBIDDEN,
  });
  assert.deepEqual(talk.stateNames(), ['registering', 'lost']);
  assert.ok(!talk.client.registered);
});

test('a server that stops answering is lost after the timeout', async () => {
  const talk = new Conversation();
  const link = talk.connect();
  await talk.run(talk.client.attach(link.client));
  link.cut();
  await talk.clock.advance(300_000);
  assert.deepEqual(talk.stateNames(), ['registering', 'registered', 'lost']);
  await assert.rejects(talk.run(talk.client.update()), { code: 'lwm2m/not-registered' });
});

test('a closed connection is lost at once; another one takes its place', async () => {
  const talk = new Conversation();
  const board = await talk.register();
  board.peer.close();
  await talk.clock.advance(1000);
  assert.deepEqual(talk.stateNames(), ['registering', 'registered', 'lost']);
  await talk.run(talk.client.attach(talk.connect().client));
  assert.deepEqual(talk.events, ['register board-1', 'replaced board-1', 'register board-1']);
  assert.deepEqual(talk.stateNames().slice(3), ['registering', 'registered']);
  await talk.clock.advance(600_000);
  assert.ok(talk.client.registered);
});

test('the end of a connection that another replaced is no loss', async () => {
  const talk = new Conversation();
  const first = talk.connect();
  await talk.run(talk.client.attach(first.client));
  await talk.run(talk.client.attach(talk.connect().client));
  first.client.close();
  await talk.clock.advance(1000);
  assert.deepEqual(talk.stateNames(), ['registering', 'registered', 'registering', 'registered']);
  assert.ok(talk.client.registered);
});

test('an aborted registration rejects', async () => {
  const talk = new Conversation();
  const controller = new AbortController();
  const link = talk.connect();
  link.cut();
  const attached = talk.client.attach(link.client, { signal: controller.signal });
  controller.abort();
  await assert.rejects(talk.run(attached), { code: 'coap/aborted' });
});

test('a peer that was closed before is lost', async () => {
  const talk = new Conversation();
  const link = talk.connect();
  link.client.close();
  await assert.rejects(talk.run(talk.client.attach(link.client)), { code: 'lwm2m/connection-lost' });
});

test('updates at once are one after the other and never more than needed', async () => {
  const talk = new Conversation();
  await talk.register();
  await talk.run(Promise.all([talk.client.update(), talk.client.update(), talk.client.update()]));
  assert.deepEqual(talk.events, ['register board-1', 'update', 'update']);
});

test('the end of the client deregisters and leaves no timer', async () => {
  const talk = new Conversation([testDevice().instance]);
  const board = await talk.register();
  await talk.run(board.observe('/3/0/9', () => undefined));
  await talk.run(talk.client[Symbol.asyncDispose]());
  assert.deepEqual(talk.events, ['register board-1', 'deregistered board-1']);
  assert.equal(talk.stateNames().at(-1), 'deregistered');
  assert.equal(talk.clock.pending, 0);
});

test('a client needs a Server object and instances that its model knows', async () => {
  const talk = new Conversation([], { objects: [testDevice().instance] });
  await assert.rejects(talk.run(talk.client.attach(talk.connect().client)), {
    code: 'lwm2m/lifetime-missing',
  });
  for (const objects of [
    [numberedInstance(9999, 0, {})],
    [numberedInstance(3, 0, { 99: 'x' })],
    [component(0, 'a', '1'), component(0, 'b', '1')],
    [numberedInstance(3, 0, {}), numberedInstance(3, 1, {})],
  ]) {
    assert.throws(() => new Lwm2mClient({ endpointName: 'x', objects }), { code: 'lwm2m/instance-invalid' });
  }
});
