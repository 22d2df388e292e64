// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat } from '@mbl/coap';
import { message } from '../messages.ts';
import type { Lwm2mResponse } from '../server/response.ts';
import type { Registration } from '../server/registration.ts';
import { text, utf8 } from '../testing/bytes.ts';
import type { TestDevice } from '../testing/objects.ts';
import { component, testDevice } from '../testing/objects.ts';
import { Conversation } from '../testing/pair.ts';
import type { Observation } from '../server/management.ts';

interface Watched {
  talk: Conversation;
  device: TestDevice;
  board: Registration<string>;
  observation: Observation;
  /** Seconds since the observation began, and the value. */
  seen: [number, unknown][];
  codes: number[];
  /** Changes the battery level and lets a second pass. */
  level: (value: number) => Promise<void>;
}

async function watch(
  path: string,
  prepare: (board: Registration<string>) => Promise<void>[] = () => [],
): Promise<Watched> {
  const device = testDevice();
  const talk = new Conversation([device.instance, component(0, 'kernel', '6.12')], {});
  const board = await talk.register();
  for (const step of prepare(board)) await talk.run(step);
  const seen: [number, unknown][] = [];
  const codes: number[] = [];
  const listener = (notification: Lwm2mResponse): void => {
    codes.push(notification.code);
    if (notification.ok) {
      const node = notification.nodes().find(({ path: [object, , id] }) => object === 3 && id === 9);
      seen.push([Math.round((talk.clock.now() - startedAt) / 1000), node?.value]);
    }
  };
  const observation = await talk.run(board.observe(path, listener));
  const startedAt = talk.clock.now();
  const level = async (value: number): Promise<void> => {
    device.values.set(9, value);
    device.instance.changed(9);
    await talk.clock.advance(1000);
  };
  return { talk, device, board, observation, seen, codes, level };
}

test('Observe answers the value and notifies of each change', async () => {
  const { talk, observation, seen, level } = await watch('/3/0/9');
  assert.ok(observation.accepted);
  assert.deepEqual(observation.first.nodes(), [{ path: [3, 0, 9], value: 80 }]);
  await level(79);
  await level(78);
  await level(78);
  assert.deepEqual(seen, [
    [0, 79],
    [1, 78],
  ]);
  await talk.run(observation.cancel());
  await level(70);
  assert.equal(seen.length, 2);
});

test('an observed instance or object notifies of a change inside it', async () => {
  for (const path of ['/3/0', '/3']) {
    const { seen, level } = await watch(path);
    await level(79);
    assert.deepEqual(seen, [[0, 79]]);
  }
});

test('a write of the server is a change too', async () => {
  const { talk, board, codes } = await watch('/3/0');
  await talk.run(board.write('/3/0/14', '+07:00'));
  await talk.clock.advance(1000);
  assert.deepEqual(codes, [Code.CONTENT]);
});

test('pmin holds back, then sends the latest value', async () => {
  const { talk, seen, level } = await watch('/3/0/9', (board) => [
    board.writeAttributes('/3/0/9', { pmin: 10 }),
  ]);
  await level(79);
  await level(78);
  assert.deepEqual(seen, []);
  await talk.clock.advance(20_000);
  assert.deepEqual(seen, [[10, 78]]);
});

test('a value that changed back before pmin ended is no news', async () => {
  const { talk, seen, level } = await watch('/3/0/9', (board) => [board.writeAttributes('/3', { pmin: 10 })]);
  await level(79);
  await level(80);
  await talk.clock.advance(30_000);
  assert.deepEqual(seen, []);
});

test('pmax sends without a change', async () => {
  const { talk, seen, level } = await watch('/3/0/9', (board) => [
    board.writeAttributes('/3/0', { pmax: 30 }),
  ]);
  await talk.clock.advance(70_000);
  assert.deepEqual(seen, [
    [30, 80],
    [60, 80],
  ]);
  await level(79);
  await talk.clock.advance(40_000);
  assert.deepEqual(seen.slice(2), [
    [70, 79],
    [100, 79],
  ]);
});

test('a pmax below pmin is not applied', async () => {
  const { talk, seen } = await watch('/3/0/9', (board) => [
    board.writeAttributes('/3/0/9', { pmin: 30, pmax: 5 }),
  ]);
  await talk.clock.advance(60_000);
  assert.deepEqual(seen, []);
});

test('gt and lt notify of crossings only, st of steps', async () => {
  const limits = await watch('/3/0/9', (board) => [board.writeAttributes('/3/0/9', { gt: 90, lt: 20 })]);
  for (const value of [85, 89, 91, 95, 88, 50, 19, 15, 25]) await limits.level(value);
  assert.deepEqual(
    limits.seen.map(([, value]) => value),
    [91, 88, 19, 25],
  );
  const steps = await watch('/3/0/9', (board) => [board.writeAttributes('/3/0/9', { st: 5 })]);
  for (const value of [78, 76, 75, 72, 80, 81]) await steps.level(value);
  assert.deepEqual(
    steps.seen.map(([, value]) => value),
    [75, 80],
  );
});

test('a value that stands on the limit crosses it with the next step', async () => {
  const { seen, level } = await watch('/3/0/9', (board) => [board.writeAttributes('/3/0/9', { gt: 80 })]);
  for (const value of [80, 81, 80, 79]) await level(value);
  assert.deepEqual(
    seen.map(([, value]) => value),
    [81, 79],
  );
});

test('attributes written later act on an observation that is there', async () => {
  const { talk, board, seen } = await watch('/3/0/9');
  await talk.run(board.writeAttributes('/3/0/9', { pmax: 20 }));
  await talk.clock.advance(45_000);
  assert.equal(seen.length, 2);
  await talk.run(board.writeAttributes('/3/0/9', { pmax: null }));
  await talk.clock.advance(60_000);
  assert.equal(seen.length, 2);
});

test("the Server object's default periods act where no attribute is set", async () => {
  const { talk, seen, level } = await watch('/3/0/9', (board) => [
    board.write('/1/0/2', 5),
    board.write('/1/0/3', 60),
  ]);
  await level(79);
  await talk.clock.advance(9000);
  assert.deepEqual(seen, [[5, 79]]);
  await talk.clock.advance(60_000);
  assert.deepEqual(seen.slice(1), [[65, 79]]);
});

test('an observation ends with 4.04 when its instance goes', async () => {
  const { talk, board, codes } = await watch('/14/0/2');
  talk.client.remove(14, 0);
  await talk.clock.advance(1000);
  assert.deepEqual(codes, [Code.NOT_FOUND]);
  talk.client.add(component(0, 'kernel', '6.13'));
  await talk.clock.advance(1000);
  assert.deepEqual(codes, [Code.NOT_FOUND]);
  assert.equal((await talk.run(board.read('/14/0/2')))[0]?.value, '6.13');
});

test('nothing is left to run when the connection ended', async () => {
  const { talk, board } = await watch('/3/0/9', (each) => [each.writeAttributes('/3/0/9', { pmax: 30 })]);
  board.peer.close();
  await talk.clock.advance(1000);
  talk.server[Symbol.dispose]();
  assert.equal(talk.clock.pending, 0);
});

test('Observe-Composite notifies of a change in any of its paths', async () => {
  const device = testDevice();
  const kernel = component(0, 'kernel', '6.12');
  const talk = new Conversation([device.instance, kernel]);
  const link = talk.connect();
  await talk.run(talk.client.attach(link.client));
  const bodies: string[] = [];
  const request = message(Code.FETCH, {
    contentFormat: ContentFormat.SENML_JSON,
    accept: ContentFormat.SENML_JSON,
    payload: utf8('[{"n":"/3/0/9"},{"n":"/14/0/2"}]'),
  });
  const observation = await talk.run(
    link.server.observe(request, ({ payload }) => bodies.push(text(payload))),
  );
  device.values.set(9, 79);
  device.instance.changed(9);
  await talk.clock.advance(1000);
  kernel.changed(0);
  await talk.clock.advance(1000);
  assert.equal(text(observation.first.payload), '[{"bn":"/","n":"3/0/9","v":80},{"n":"14/0/2","vs":"6.12"}]');
  assert.deepEqual(bodies, ['[{"bn":"/","n":"3/0/9","v":79},{"n":"14/0/2","vs":"6.12"}]']);
});

test('what cannot be read is not observed', async () => {
  const talk = new Conversation([testDevice().instance]);
  const board = await talk.register();
  for (const path of ['/0', '/6', '/3/0/4']) {
    const observation = await talk.run(board.observe(path, () => assert.fail('no notification is due')));
    assert.ok(!observation.accepted && !observation.first.ok);
  }
});
