// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '@mbl/coap';
import { AppCloud, caller, Heard, resource } from '../../testing/app-cloud.ts';
import { AppObjects } from './app-objects.ts';

const [first, second] = [200_000, 200_001];
const temperature = caller('sensor', resource('/3303/0/5700', 'float', 'read'));
const other = caller('other', resource('/3303/1/5700', 'float', 'read'));
const double = (value: number) => ({ signature: 'd', value });
const text = (value: string) => ({ signature: 's', value });

test('a resource of every type is read, written and told with its type', async () => {
  const cloud = new AppCloud();
  const board = await cloud.register();
  const types = [
    ['string', 's', 'warm', 'cold'],
    ['integer', 'x', -5, 2n ** 62n],
    ['unsigned-integer', 't', 5, 2n ** 63n],
    ['float', 'd', 0.5, 4],
    ['boolean', 'b', true, false],
    ['opaque', 'ay', Uint8Array.of(1, 2), Uint8Array.of()],
    ['time', 'x', 1_800_000_000, 0],
    ['object-link', '(qq)', { objectId: 3, instanceId: 0 }, { objectId: 65_535, instanceId: 65_535 }],
  ] as const;
  const app = caller(
    'all',
    ...types.map(([type], i) => resource(`/26241/0/${i}`, type, 'read', 'write')),
    resource('/26241/0/20', 'none', 'execute'),
  );
  const heard = new Heard();
  cloud.objects.register(first, app, '', heard);
  await cloud.clock.advance(1000);
  for (const [i, [, signature, value, written]] of types.entries()) {
    const path = `/26241/0/${i}`;
    const bus = typeof value === 'object' && 'objectId' in value ? [3, 0] : value;
    cloud.objects.set(first, [[path, { signature, value: bus }]]);
    assert.deepEqual((await cloud.run(board.read(path)))[0]?.value, value);
    // The server knows no such object: it says the type with the value.
    const type = (
      { s: 'string', x: 'integer', t: 'unsigned', d: 'float', b: 'boolean', ay: 'opaque' } as const
    )[signature as 's'];
    const node = { path: [26_241, 0, i], value: written, type: type ?? 'objlnk' } as const;
    await cloud.run(board.write('/26241/0', [node], { mode: 'update' }));
    const told = signature === '(qq)' ? [65_535, 65_535] : written;
    assert.deepEqual(heard.events.at(-1), ['written', path, signature, told]);
    assert.deepEqual(cloud.objects.get(first, path).value, told);
  }
  await cloud.run(board.execute('/26241/0/20', "0='now'"));
  assert.deepEqual(heard.events.at(-1), ['executed', '/26241/0/20', "0='now'"]);
});

test('an app has what its app.json lists, and no more', async () => {
  const cloud = new AppCloud();
  const board = await cloud.register();
  const register = (definition: string) =>
    cloud.objects.register(first, temperature, definition, new Heard());
  for (const [definition, name] of [
    ['{"3303":{"0":{"5701":{}}}}', 'NotListed'],
    ['{"3":{"0":{"0":{}}}}', 'NotListed'],
    ['{"3303":{"0":{"5700":{"value":"hot"}}}}', 'BadValue'],
    ['{"3303":{"0":{"5700":{"type":"integer"}}}}', 'BadDefinition'],
    ['{"3303":{"0":{"5700":{"units":7}}}}', 'BadDefinition'],
    ['{"3303":{"0":{"5700":{"colour":"red"}}}}', 'BadDefinition'],
    ['{"3303":{"0":[]}}', 'BadDefinition'],
    ['nonsense', 'BadDefinition'],
  ] as const) {
    assert.throws(() => register(definition), { busName: `com.mbl.Error.${name}` }, definition);
  }
  // The device's own objects, what the registry says otherwise, and what it has several of.
  for (const [path, type, name] of [
    ['/3/0/0', 'string', 'Taken'],
    ['/33402/0/0', 'string', 'Taken'],
    ['/1/0/1', 'integer', 'Taken'],
    ['/3303/0/5700', 'string', 'BadDefinition'],
    ['/3303/0/1', 'string', 'BadDefinition'],
    ['/3303/0/5605', 'float', 'BadDefinition'],
  ] as const) {
    const app = caller('sensor', resource(path, type, 'read'));
    assert.throws(
      () => cloud.objects.register(first, app, '', new Heard()),
      {
        busName: `com.mbl.Error.${name}`,
      },
      path,
    );
  }
  assert.deepEqual(
    register('{"3303":{"0":{"5700":{"value":21,"units":"Cel","name":"Hall"}}}}').get('/3303/0/5700'),
    double(21),
  );
  await cloud.clock.advance(1000);
  assert.equal((await cloud.run(board.read('/3303/0/5700')))[0]?.value, 21);
});

test('no app sees, sets or takes what another has', async () => {
  const cloud = new AppCloud();
  const board = await cloud.register();
  const [mine, theirs] = [new Heard(), new Heard()];
  const pump = caller('sensor', resource('/26241/0/0', 'string', 'read', 'write'));
  cloud.objects.register(first, pump, '', mine);
  cloud.objects.register(second, other, '', theirs);
  cloud.objects.set(first, [['/26241/0/0', text('mine')]]);
  assert.throws(() => cloud.objects.set(second, [['/26241/0/0', text('theirs')]]), {
    busName: 'com.mbl.Error.NotRegistered',
  });
  assert.throws(() => cloud.objects.get(second, '/26241/0/0'), { busName: 'com.mbl.Error.NotRegistered' });
  assert.throws(() => cloud.objects.unregister(second, ['/26241/0/0']), {
    busName: 'com.mbl.Error.NotRegistered',
  });
  assert.equal(cloud.objects.getAll(second).size, 0);
  const thief = caller('other', resource('/26241/0/0', 'string', 'read', 'write'));
  assert.throws(() => cloud.objects.register(second, thief, '', theirs), { busName: 'com.mbl.Error.Taken' });
  // An object of nobody's registry is what the first one says.
  const liar = caller('other', resource('/26241/1/0', 'integer', 'read'));
  assert.throws(() => cloud.objects.register(second, liar, '', theirs), { busName: 'com.mbl.Error.Taken' });
  await cloud.clock.advance(1000);
  await cloud.run(board.write('/26241/0', [{ path: [26_241, 0, 0], value: 'written' }], { mode: 'update' }));
  assert.deepEqual([mine.events.length, theirs.events.length], [1, 0]);
  // What was refused changed nothing.
  assert.deepEqual(board.paths.slice(-2), [
    [3303, 1],
    [26_241, 0],
  ]);
});

test('two apps have instances of one object; what goes ends for observers, what stays goes on', async () => {
  const cloud = new AppCloud();
  const board = await cloud.register();
  cloud.objects.register(first, temperature, '', new Heard());
  cloud.objects.register(second, other, '', new Heard());
  for (const [uid, path] of [
    [first, '/3303/0/5700'],
    [second, '/3303/1/5700'],
  ] as const)
    cloud.objects.set(uid, [[path, double(20)]]);
  await cloud.clock.advance(1000);
  const codes: number[][] = [[], []];
  for (const id of [0, 1])
    await cloud.run(board.observe(`/3303/${id}/5700`, ({ code }) => codes[id]?.push(code)));
  cloud.objects.callersChanged(new Map([[second, other]]));
  cloud.objects.set(second, [['/3303/1/5700', double(21)]]);
  await cloud.clock.advance(1000);
  assert.deepEqual(codes, [[Code.NOT_FOUND], [Code.CONTENT]]);
  assert.deepEqual(board.paths.slice(-1), [[3303, 1]]);
  assert.equal(cloud.objects.getAll(first).size, 0);
  cloud.objects.callersChanged(new Map());
  await cloud.clock.advance(1000);
  assert.deepEqual(
    board.paths.filter(([object]) => object === 3303),
    [],
  );
});

test('values stay over a restart of the app; what a server wrote meanwhile is told when it registers', async () => {
  const cloud = new AppCloud();
  const board = await cloud.register();
  const app = caller(
    'pump',
    resource('/26241/0/0', 'string', 'read', 'write'),
    resource('/26241/0/1', 'none', 'execute'),
  );
  const before = new Heard();
  cloud.objects.register(first, app, '{"26241":{"0":{"0":{"value":"slow"},"1":{}}}}', before);
  cloud.objects.disconnected(before);
  await cloud.clock.advance(1000);
  await cloud.run(board.write('/26241/0', [{ path: [26_241, 0, 0], value: 'fast' }], { mode: 'update' }));
  await assert.rejects(cloud.run(board.execute('/26241/0/1')), { status: Code.SERVICE_UNAVAILABLE });
  assert.equal(before.events.length, 0);
  const values = cloud.objects.register(
    first,
    app,
    '{"26241":{"0":{"0":{"value":"slow"},"1":{}}}}',
    new Heard(),
  );
  assert.deepEqual(values, new Map([['/26241/0/0', text('fast')]]));
  // A new version of the app that may do less loses the rest, and another app with the number all.
  const less = caller('pump', resource('/26241/0/0', 'string', 'read', 'write'));
  cloud.objects.callersChanged(new Map([[first, less]]));
  await assert.rejects(cloud.run(board.execute('/26241/0/1')), { status: Code.NOT_FOUND });
  assert.equal((await cloud.run(board.read('/26241/0/0')))[0]?.value, 'fast');
  cloud.objects.callersChanged(new Map([[first, { ...less, app: 'another' }]]));
  assert.equal(cloud.objects.register(first, { ...less, app: 'another' }, '', new Heard()).size, 0);
});

test('a server does with a resource what app.json says, however much the object allows', async () => {
  const cloud = new AppCloud();
  const board = await cloud.register();
  const heard = new Heard();
  // OMA lets 5750 be read and written.
  cloud.objects.register(first, caller('sensor', resource('/3303/0/5750', 'string', 'read')), '', heard);
  await cloud.clock.advance(1000);
  await assert.rejects(cloud.run(board.write('/3303/0/5750', 'hall')), { status: Code.METHOD_NOT_ALLOWED });
  assert.equal(heard.events.length, 0);
});

test('a thousand sets a second are two notifications, and the last one counts', async () => {
  const cloud = new AppCloud();
  const board = await cloud.register();
  cloud.objects.register(first, temperature, '', new Heard());
  cloud.objects.set(first, [['/3303/0/5700', double(0)]]);
  await cloud.clock.advance(5000);
  const seen: unknown[] = [];
  await cloud.run(board.observe('/3303/0/5700', (answer) => seen.push(answer.nodes()[0]?.value)));
  for (let i = 1; i <= 3000; i++) {
    cloud.objects.set(first, [['/3303/0/5700', double(i)]]);
    await cloud.clock.advance(1);
  }
  await cloud.clock.advance(1000);
  assert.equal(seen[0], 1, 'the first one is told at once');
  assert.equal(seen.at(-1), 3000);
  assert.ok(seen.length >= 6 && seen.length <= 8, `${seen.length} notifications in 3 seconds`);
});

test('an app has so many resources and bytes; sets are all or nothing', () => {
  const cloud = new AppCloud();
  const many = caller(
    'big',
    ...Array.from({ length: 257 }, (_, i) => resource(`/26241/0/${i}`, 'string', 'read')),
  );
  assert.throws(() => cloud.objects.register(first, many, '', new Heard()), { busName: /LimitsExceeded$/ });
  const most = { ...many, resources: many.resources.slice(1) };
  cloud.objects.register(first, most, '', new Heard());
  assert.throws(() => cloud.objects.set(first, [['/26241/0/1', text('x'.repeat(8193))]]), {
    busName: /BadValue$/,
  });
  const large = most.resources.slice(0, 9).map(({ path }) => [path, text('x'.repeat(8000))] as const);
  assert.throws(() => cloud.objects.set(first, large), { busName: /LimitsExceeded$/ });
  assert.throws(
    () =>
      cloud.objects.set(first, [
        ['/26241/0/1', text('x')],
        ['/26241/0/2', double(1)],
      ]),
    {
      busName: /BadValue$/,
    },
  );
  assert.equal(cloud.objects.getAll(first).size, 0);
  cloud.objects.set(first, large.slice(0, 8));
  assert.equal(cloud.objects.getAll(first).size, 8);
  cloud.objects.unregister(first, []);
  assert.equal(cloud.objects.getAll(first).size, 0);
});

test('a device that has no server serves apps all the same', () => {
  const calls: string[] = [];
  const client = Object.fromEntries(
    ['define', 'undefine', 'replace', 'remove'].map((name) => [name, () => calls.push(name)]),
  ) as unknown as ConstructorParameters<typeof AppObjects>[0]['client'];
  const objects = new AppObjects({ client, clock: new AppCloud().clock });
  objects.register(first, temperature, '', new Heard());
  objects.set(first, [['/3303/0/5700', double(3)]]);
  assert.deepEqual(objects.get(first, '/3303/0/5700'), double(3));
  assert.deepEqual(calls, ['define', 'replace', 'define']);
});

test('an app that gets the number of another one gets none of its values, though it has its name', async () => {
  for (const next of [
    { ...temperature, team: 'radio' },
    { ...temperature, app: 'other' },
  ]) {
    const cloud = new AppCloud();
    await cloud.register();
    cloud.objects.register(first, temperature, '', new Heard());
    cloud.objects.set(first, [['/3303/0/5700', double(21)]]);
    // As fast as that nobody has looked in between.
    if (next.team === 'radio') cloud.objects.callersChanged(new Map([[first, next]]));
    assert.deepEqual(cloud.objects.register(first, next, '', new Heard()), new Map());
  }
});
