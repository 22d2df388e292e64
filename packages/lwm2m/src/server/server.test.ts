// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoapPeer, CoapResponse } from '@mbl/coap';
import { Code, ContentFormat, locationPath } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import { message } from '../messages.ts';
import { text, utf8 } from '../testing/bytes.ts';
import { testDevice } from '../testing/objects.ts';
import { Conversation } from '../testing/pair.ts';

function register(peer: CoapPeer, query: readonly string[], payload = '</3/0>'): Promise<CoapResponse> {
  return peer.request(
    message(Code.POST, { path: ['rd'], query, contentFormat: ContentFormat.LINK, payload: utf8(payload) }),
  );
}

function ownName(): Conversation {
  return new Conversation(
    [testDevice().instance],
    {},
    {
      authorize: ({ endpoint }, identity) => {
        if (endpoint !== identity) throw new Lwm2mError('service/foreign-name', 'that is not your name');
      },
    },
  );
}

test("a client's name must be the one that its identity allows", async () => {
  const talk = ownName();
  const honest = await talk.run(register(talk.connect('board-1').client, ['ep=board-1', 'lwm2m=1.1']));
  assert.equal(honest.code, Code.CREATED);
  assert.deepEqual(locationPath(honest.options), ['rd', '1']);
  const thief = await talk.run(register(talk.connect('board-2').client, ['ep=board-1', 'lwm2m=1.1']));
  assert.equal(thief.code, Code.FORBIDDEN);
  assert.equal(text(thief.payload), 'that is not your name');
  assert.deepEqual(talk.events, ['register board-1']);
});

test("nobody updates or ends another's registration", async () => {
  const talk = ownName();
  await talk.register('board-1');
  const thief = talk.connect('board-2').client;
  for (const code of [Code.POST, Code.DELETE]) {
    assert.equal((await talk.run(thief.request(message(code, { path: ['rd', '1'] })))).code, Code.FORBIDDEN);
  }
  assert.deepEqual(talk.events, ['register board-1']);
});

test('an update over another connection moves the registration there', async () => {
  const talk = ownName();
  const board = await talk.register('board-1');
  const link = talk.connect('board-1');
  assert.equal(
    (await talk.run(link.client.request(message(Code.POST, { path: ['rd', '1'] })))).code,
    Code.CHANGED,
  );
  assert.deepEqual(talk.events, ['register board-1', 'update peer']);
  assert.equal(board.peer, link.server);
  assert.equal((await talk.run(board.read('/3/0/0')))[0]?.value, 'ARM');
});

test('a registration that is not renewed expires at the end of its lifetime', async () => {
  const talk = ownName();
  await talk.run(register(talk.connect().client, ['ep=board-1', 'lwm2m=1.1', 'lt=120']));
  await talk.clock.advance(119_000);
  assert.equal(talk.server.registrations.length, 1);
  await talk.clock.advance(2000);
  assert.deepEqual(talk.events, ['register board-1', 'expired board-1']);
  assert.deepEqual(talk.server.registrations, []);
  assert.equal(talk.server.registration('board-1'), undefined);
});

test('a registration whose lifetime is 0 does not end by itself, until an update gives it an end', async () => {
  const talk = ownName();
  const { client } = talk.connect();
  const answer = await talk.run(register(client, ['ep=board-1', 'lwm2m=1.1', 'lt=0']));
  assert.equal(answer.code, Code.CREATED);
  assert.equal(talk.server.registration('board-1')?.lifetime, 0);
  await talk.clock.advance(10 * 365 * 86_400_000);
  assert.deepEqual(talk.events, ['register board-1']);
  const update = message(Code.POST, { path: ['rd', '1'], query: ['lt=60'] });
  assert.equal((await talk.run(client.request(update))).code, Code.CHANGED);
  await talk.clock.advance(61_000);
  assert.deepEqual(talk.events, ['register board-1', 'update lifetime', 'expired board-1']);
});

test('a client that gives no name is who its identity says, where that says it', async () => {
  const talk = new Conversation([], {}, { endpointName: (identity) => identity || undefined });
  const answer = await talk.run(register(talk.connect('board-7').client, ['lwm2m=1.1']));
  assert.equal(answer.code, Code.CREATED);
  assert.equal(talk.server.registration('board-7')?.endpoint, 'board-7');
  for (const [identity, query] of [
    ['', ['lwm2m=1.1']],
    ['board-8', ['ep=', 'lwm2m=1.1']],
  ] as const) {
    const refused = await talk.run(register(talk.connect(identity).client, query));
    assert.equal(refused.code, Code.BAD_REQUEST);
  }
  assert.deepEqual(talk.events, ['register board-7']);
});

test('timers that fire early end no registration and send no needless update', async () => {
  // A real timer has an upper limit; a lifetime may be longer.
  const clock = {
    now: () => talk.clock.now(),
    schedule: (delayMs: number, action: () => void) => talk.clock.schedule(Math.min(delayMs, 7000), action),
  };
  const talk: Conversation = new Conversation([testDevice().instance], { clock }, { clock });
  await talk.register();
  await talk.clock.advance(239_000);
  assert.deepEqual(talk.events, ['register board-1']);
  await talk.clock.advance(2000);
  assert.deepEqual(talk.events, ['register board-1', 'update']);
});

test('a second Register replaces the first; ending the first then changes nothing', async () => {
  const talk = ownName();
  const { client } = talk.connect();
  await talk.run(register(client, ['ep=board-1', 'lwm2m=1.1']));
  const [first] = talk.server.registrations;
  assert.ok(first !== undefined);
  await talk.run(register(client, ['ep=board-1', 'lwm2m=1.1']));
  talk.server.remove(first);
  assert.deepEqual(talk.events, ['register board-1', 'replaced board-1', 'register board-1']);
  assert.equal(talk.server.registration('board-1')?.location, 'rd/2');
  assert.equal(
    (await talk.run(client.request(message(Code.POST, { path: ['rd', '1'] })))).code,
    Code.NOT_FOUND,
  );
});

test('what a registration says is kept, that of foreign clients too', async () => {
  const talk = ownName();
  const query = ['ep=board-1', 'et=default', 'lt=7200', 'lwm2m=1.0', 'd=01', 'b=UQ', 'aid=01', 'mccv=4.13.2'];
  const payload = '</lwm2m>;rt="oma.lwm2m",</lwm2m/3/0/2>;v="0";aobs="51",</lwm2m/14/0>,</other>';
  await talk.run(register(talk.connect().client, query, payload));
  const board = talk.server.registration('board-1');
  assert.ok(board !== undefined);
  const { endpoint, lifetime, version, binding, queueMode, root, paths } = board;
  assert.deepEqual(
    { endpoint, lifetime, version, binding, queueMode, root, paths },
    {
      endpoint: 'board-1',
      lifetime: 7200,
      version: '1.0',
      binding: 'UQ',
      queueMode: true,
      root: '/lwm2m',
      paths: [
        [3, 0, 2],
        [14, 0],
      ],
    },
  );
  assert.equal(board.parameters.get('mccv'), '4.13.2');
  assert.equal(board.objects[1]?.attributes.get('aobs'), '51');
});

test('requests to a client with an alternate path go below it', async () => {
  const talk = ownName();
  const asked: string[] = [];
  const link = talk.connect('board-1', ({ options }) => {
    asked.push(
      options
        .filter(({ number }) => number === 11)
        .map(({ value }) => text(value))
        .join('/'),
    );
    return message(Code.CONTENT, { payload: utf8('ARM') });
  });
  await talk.run(register(link.client, ['ep=board-1', 'lwm2m=1.1'], '</m/x>;rt="oma.lwm2m",</m/x/3/0>'));
  const nodes = await talk.run(
    talk.server.registration('board-1')?.read('/3/0/0') ?? Promise.reject(new Error()),
  );
  assert.deepEqual(nodes, [{ path: [3, 0, 0], value: 'ARM' }]);
  assert.deepEqual(asked, ['m/x/3/0/0']);
});

test('registrations that make no sense are refused', async () => {
  const talk = ownName();
  const { client } = talk.connect();
  for (const [query, payload, code] of [
    [['lwm2m=1.1'], '</3/0>', Code.BAD_REQUEST],
    [['ep=', 'lwm2m=1.1'], '</3/0>', Code.BAD_REQUEST],
    [['ep=board-1'], '</3/0>', Code.PRECONDITION_FAILED],
    [['ep=board-1', 'lwm2m=2.0'], '</3/0>', Code.PRECONDITION_FAILED],
    [['ep=board-1', 'lwm2m=1.2'], '</3/0>', Code.PRECONDITION_FAILED],
    [['ep=board-1', 'lwm2m=1.99'], '</3/0>', Code.PRECONDITION_FAILED],
    [['ep=board-1', 'lwm2m=1.1', 'lt=-1'], '</3/0>', Code.BAD_REQUEST],
    [['ep=board-1', 'lwm2m=1.1', 'lt='], '</3/0>', Code.BAD_REQUEST],
    [['ep=board-1', 'lwm2m=1.1', 'lt=4294967296'], '</3/0>', Code.BAD_REQUEST],
    [['ep=board-1', 'lwm2m=1.1', 'lt=1e3'], '</3/0>', Code.BAD_REQUEST],
    [['ep=board-1', 'lwm2m=1.1', 'b=X'], '</3/0>', Code.BAD_REQUEST],
    [['ep=board-1', 'lwm2m=1.1'], '</3/0', Code.BAD_REQUEST],
    [['ep=board-1', 'lwm2m=1.1'], '', Code.BAD_REQUEST],
  ] as const) {
    assert.equal((await talk.run(register(client, query, payload))).code, code, query.join('&'));
  }
  const json = message(Code.POST, {
    path: ['rd'],
    query: ['ep=board-1', 'lwm2m=1.1'],
    contentFormat: ContentFormat.JSON,
    payload: utf8('[]'),
  });
  assert.equal((await talk.run(client.request(json))).code, Code.UNSUPPORTED_CONTENT_FORMAT);
  assert.equal(
    (await talk.run(client.request(message(Code.GET, { path: ['rd'] })))).code,
    Code.METHOD_NOT_ALLOWED,
  );
  assert.equal(
    (await talk.run(client.request(message(Code.GET, { path: ['3', '0'] })))).code,
    Code.NOT_FOUND,
  );
  assert.deepEqual(talk.events, []);
});

test('a registration that the application cannot take is refused and forgotten', async () => {
  const talk = new Conversation(
    [],
    {},
    {
      onRegister: () => {
        throw new Lwm2mError('service/full', 'come again later', { status: Code.SERVICE_UNAVAILABLE });
      },
    },
  );
  const response = await talk.run(register(talk.connect().client, ['ep=board-1', 'lwm2m=1.1']));
  assert.equal(response.code, Code.SERVICE_UNAVAILABLE);
  assert.deepEqual(talk.server.registrations, []);
});

test('an answer that is no success rejects with its code and its reason', async () => {
  const talk = ownName();
  const board = await talk.register();
  await assert.rejects(talk.run(board.read('/3/0/77')), {
    code: 'lwm2m/refused',
    status: Code.NOT_FOUND,
    message: 'the client answered /3/0/77 with 4.04: there is no /3/0/77',
  });
  board.peer.close();
  await assert.rejects(talk.run(board.read('/3/0/0')), { name: 'CoapError' });
});
