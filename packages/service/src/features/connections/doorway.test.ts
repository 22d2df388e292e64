// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { SimulatedClock } from '@mbl/coap';
import pg from 'pg';
import { enrol, eventually, TestDevice } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';
import { Doorway } from './doorway.ts';

describe('the doorway', { timeout: 240_000 }, () => {
  let clock: SimulatedClock;
  let door: Doorway;
  let begun: { readonly socket: Socket; readonly said: string }[];
  let stack: AsyncDisposableStack;
  let arrived = 0;
  /** A connection that says something, or nothing; resolves when the door has seen it. */
  let come: (word: string) => Promise<Socket>;

  beforeEach(async () => {
    stack = new AsyncDisposableStack();
    clock = new SimulatedClock();
    begun = [];
    arrived = 0;
    door = new Doorway({ atOnce: 2, patienceMs: 250, silenceMs: 10_000, clock }, (socket) =>
      begun.push({ socket, said: String(socket.read()) }),
    );
    const server = createServer((socket) => {
      arrived += 1;
      door.arrive(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    stack.defer(async () => {
      server.close();
      await once(server, 'close');
    });
    come = async (word) => {
      const [before, waiting] = [arrived, door.waiting + begun.length];
      const client = connect(port, '127.0.0.1');
      client.on('error', () => {}).resume();
      stack.defer(() => void client.destroy());
      if (word !== '') client.write(word);
      await eventually(
        async () => (word === '' ? arrived > before : door.waiting + begun.length > waiting),
        `${word} has come`,
      );
      return client;
    };
  });
  afterEach(() => stack[Symbol.asyncDispose]());

  const said = () => begun.map((one) => one.said);

  test('lets so many in at once, in the order in which they spoke; what they said is there', async () => {
    for (const word of ['one', 'two', 'three', 'four']) await come(word);
    assert.deepEqual(said(), ['one', 'two']);
    assert.equal(door.waiting, 2);
    const [first] = begun;
    assert.ok(first);
    door.done(first.socket);
    // Once is once.
    door.done(first.socket);
    await eventually(async () => begun.length >= 3, 'the next one is let in');
    await clock.advance(200);
    assert.deepEqual(said(), ['one', 'two', 'three']);
  });

  test('one that breaks makes room; one that breaks while it waits is forgotten', async () => {
    const one = await come('one');
    await come('two');
    const three = await come('three');
    await come('four');
    three.resetAndDestroy();
    await eventually(async () => door.waiting === 1, 'forgotten');
    one.resetAndDestroy();
    await eventually(async () => begun.length === 3, 'room is made');
    assert.deepEqual(said(), ['one', 'two', 'four']);
  });

  test('one that is silent takes no place, and is sent away; one that takes long keeps nobody waiting', async () => {
    const silent = await Promise.all([come(''), come(''), come('')]);
    for (const word of ['one', 'two', 'three']) await come(word);
    assert.deepEqual(said(), ['one', 'two']);
    await clock.advance(300);
    assert.deepEqual(said(), ['one', 'two', 'three']);
    // Those whose time was over leave nothing behind: one of two places is taken.
    for (const { socket } of begun.slice(0, 2)) door.done(socket);
    await come('four');
    await come('five');
    assert.deepEqual(said(), ['one', 'two', 'three', 'four']);
    await clock.advance(10_000);
    for (const socket of silent) if (!socket.closed) await once(socket, 'close');
    assert.ok(begun.every(({ socket }) => !socket.destroyed));
  });

  test('a stop sends away who waits and who is silent', async () => {
    const silent = await come('');
    for (const word of ['one', 'two']) await come(word);
    const waits = await come('three');
    door[Symbol.dispose]();
    for (const socket of [silent, waits]) if (!socket.closed) await once(socket, 'close');
    assert.deepEqual(said(), ['one', 'two']);
  });
});

test('many devices that connect in the same moment are all let in, each with its events once', {
  timeout: 240_000,
}, async () => {
  await using service = await TestService.start();
  await using stack = new AsyncDisposableStack();
  const identities = [];
  for (let n = 0; n < 48; n++) identities.push(await enrol(service, `of-many-${n}`));
  await Promise.all(
    identities.map(async (identity) => stack.use(await TestDevice.register(service, identity))),
  );
  const client = new pg.Client(service.options.databaseUrl);
  await client.connect();
  stack.defer(async () => await client.end());
  const { rows: present } = await client.query(
    "select count(*)::int as count from devices where online and state = 'registered'",
  );
  assert.deepEqual(present, [{ count: identities.length }]);
  const { rows: events } = await client.query(
    `select event_type, count(*)::int as count, count(distinct device_id)::int as devices from device_events
     where event_type in ('device.online', 'device.registered') group by 1 order by 1`,
  );
  const count = identities.length;
  assert.deepEqual(events, [
    { event_type: 'device.online', count, devices: count },
    { event_type: 'device.registered', count, devices: count },
  ]);
});
