// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ContentFormat } from '@mbl/coap';
import type { Link } from '../codecs/link-format.ts';
import { encodeLinks } from '../codecs/link-format.ts';
import { Lwm2mError } from '../errors.ts';
import { resourceTable } from '../model/definition.ts';
import { ObjectModel, standardModel } from '../model/model.ts';
import { formatPath } from '../path.ts';
import type { Node } from '../node.ts';
import { text } from '../testing/bytes.ts';
import { component, testDevice } from '../testing/objects.ts';
import { Conversation } from '../testing/pair.ts';
import { numberedInstance } from './numbered-instance.ts';

function table(nodes: readonly Node[]): Record<string, unknown> {
  return Object.fromEntries(nodes.map(({ path, value }) => [formatPath(path), value]));
}

function written(links: readonly Link[]): string {
  return text(encodeLinks(links));
}

function refused(status: number): { name: string; status: number } {
  return { name: 'Lwm2mError', status };
}

test('Read answers a resource, an instance and an object', async () => {
  const talk = new Conversation([
    testDevice().instance,
    component(0, 'kernel', '6.12'),
    component(2, 'root', '1.0'),
  ]);
  const board = await talk.register();
  assert.deepEqual(await talk.run(board.read('/3/0/0')), [{ path: [3, 0, 0], value: 'ARM' }]);
  assert.deepEqual(table(await talk.run(board.read('/3/0'))), {
    '/3/0/0': 'ARM',
    '/3/0/1': 'MBL',
    '/3/0/9': 80,
    '/3/0/11/0': 0,
    '/3/0/13': 1367491215,
    '/3/0/14': '+02:00',
    '/3/0/16': 'T',
  });
  assert.deepEqual(table(await talk.run(board.read('/14'))), {
    '/14/0/0': 'kernel',
    '/14/0/1': Uint8Array.of(1, 2, 3),
    '/14/0/2': '6.12',
    '/14/2/0': 'root',
    '/14/2/1': Uint8Array.of(1, 2, 3),
    '/14/2/2': '1.0',
  });
  assert.deepEqual(await talk.run(board.read('/3/0/11/0')), [{ path: [3, 0, 11, 0], value: 0 }]);
});

test('Read answers in the format that Accept asks for', async () => {
  const talk = new Conversation([testDevice().instance, component(0, 'kernel', '6.12')]);
  const board = await talk.register();
  const expected = await talk.run(board.read('/3/0'));
  for (const accept of [ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR, ContentFormat.LWM2M_TLV]) {
    const response = await talk.run(board.request({ method: Code.GET, path: '/3/0', accept }));
    assert.equal(response.contentFormat, accept);
    assert.deepEqual(response.nodes(), expected);
  }
  const raw = await talk.run(board.request({ method: Code.GET, path: '/14/0/1' }));
  assert.equal(raw.contentFormat, ContentFormat.OCTET_STREAM);
  assert.deepEqual(Uint8Array.from(raw.payload), Uint8Array.of(1, 2, 3));
  const plain = await talk.run(board.request({ method: Code.GET, path: '/3/0/9' }));
  assert.equal(plain.contentFormat, ContentFormat.TEXT);
  assert.equal(text(plain.payload), '80');
});

test('Read refuses with the code that says why', async () => {
  const broken = numberedInstance(4, 0, { 2: { read: () => 'no number' } });
  const talk = new Conversation([
    testDevice().instance,
    broken,
    numberedInstance(0, 0, { 0: 'coaps://x', 5: 'secret' }),
  ]);
  const board = await talk.register();
  const answers: [string, number][] = [
    ['/0', Code.UNAUTHORIZED],
    ['/0/0', Code.UNAUTHORIZED],
    ['/0/0/5', Code.UNAUTHORIZED],
    ['/6', Code.NOT_FOUND],
    ['/3/1', Code.NOT_FOUND],
    ['/3/0/2', Code.NOT_FOUND],
    ['/3/0/11/9', Code.NOT_FOUND],
    ['/3/0/0/0', Code.NOT_FOUND],
    ['/3/0/4', Code.METHOD_NOT_ALLOWED],
    ['/', Code.METHOD_NOT_ALLOWED],
    ['/4/0', Code.INTERNAL_SERVER_ERROR],
  ];
  for (const [path, status] of answers)
    await assert.rejects(talk.run(board.read(path)), refused(status), path);
  await assert.rejects(talk.run(board.read('/3/0', { accept: 60 })), refused(Code.NOT_ACCEPTABLE));
  await assert.rejects(talk.run(board.read('/3/0', { accept: 0 })), refused(Code.NOT_ACCEPTABLE));
  await assert.rejects(talk.run(board.read('/3/0/0', { accept: 42 })), refused(Code.NOT_ACCEPTABLE));
  await assert.rejects(talk.run(board.discover('/0')), refused(Code.UNAUTHORIZED));
  await assert.rejects(talk.run(board.write('/0/0/0', 'x')), refused(Code.UNAUTHORIZED));
});

test('Write replaces a resource, in every format', async () => {
  const device = testDevice();
  const talk = new Conversation([device.instance]);
  const board = await talk.register();
  for (const [value, contentFormat] of [
    ['+01:00', undefined],
    ['+03:00', ContentFormat.TEXT],
    ['+04:00', ContentFormat.SENML_JSON],
    ['+05:00', ContentFormat.SENML_CBOR],
    ['+06:00', ContentFormat.LWM2M_TLV],
  ] as const) {
    await talk.run(board.write('/3/0/14', value, contentFormat === undefined ? {} : { contentFormat }));
    assert.equal(device.values.get(14), value);
  }
});

test('Write of an instance: update keeps what is not named, replace resets it', async () => {
  const values = new Map<number, unknown>([[2, 10]]);
  const reset: number[] = [];
  const held = (id: number) => ({
    read: () => 10,
    write: (value: unknown) => void values.set(id, value),
    reset: () => void reset.push(id),
  });
  const server = numberedInstance(1, 1, { 1: held(1), 2: held(2), 3: held(3) });
  const talk = new Conversation([server]);
  const board = await talk.register();
  const nodes = [{ path: [1, 1, 3], value: 30 }];
  await talk.run(board.write('/1/1', nodes, { mode: 'update' }));
  assert.deepEqual(
    [...values],
    [
      [2, 10],
      [3, 30],
    ],
  );
  assert.deepEqual(reset, []);
  await talk.run(board.write('/1/1', nodes));
  assert.deepEqual(reset, [1, 2]);
});

test('Write changes nothing when any part of it is refused', async () => {
  const device = testDevice();
  const talk = new Conversation([device.instance]);
  const board = await talk.register();
  const zone = { path: [3, 0, 14], value: '+09:00' };
  const refusals: [Node, number][] = [
    [{ path: [3, 0, 0], value: 'other' }, Code.METHOD_NOT_ALLOWED],
    [{ path: [3, 0, 15], value: 'Europe/Berlin' }, Code.NOT_FOUND],
  ];
  for (const [node, status] of refusals) {
    await assert.rejects(talk.run(board.write('/3/0', [zone, node], { mode: 'update' })), refused(status));
  }
  await assert.rejects(
    talk.run(board.write('/3/0/13', 'soon', { contentFormat: ContentFormat.SENML_JSON })),
    { code: 'lwm2m/value-invalid' },
  );
  const payload = new TextEncoder().encode('soon');
  for (const contentFormat of [0, 110, 112, 11542]) {
    const response = await talk.run(
      board.request({ method: Code.PUT, path: '/3/0/13', payload, contentFormat }),
    );
    assert.equal(response.code, Code.BAD_REQUEST);
  }
  const odd = await talk.run(
    board.request({ method: Code.PUT, path: '/3/0/13', payload, contentFormat: 50 }),
  );
  assert.equal(odd.code, Code.UNSUPPORTED_CONTENT_FORMAT);
  assert.equal(device.values.get(14), '+02:00');
  assert.equal(device.values.get(13), 1367491215);
});

test('an instance chooses its answer by the status of the error it throws', async () => {
  const full = numberedInstance(1, 1, {
    2: {
      read: () => 1,
      write: () => {
        throw new Lwm2mError('device/too-soon', 'not before the update ended', { status: Code.CONFLICT });
      },
    },
  });
  const talk = new Conversation([full]);
  const board = await talk.register();
  await assert.rejects(talk.run(board.write('/1/1/2', 5)), refused(Code.CONFLICT));
});

test('Execute runs with its arguments; anything else is refused', async () => {
  const device = testDevice();
  const talk = new Conversation([device.instance]);
  const board = await talk.register();
  await talk.run(board.execute('/3/0/4'));
  await talk.run(board.execute('/3/0/4', "0='now',1"));
  assert.deepEqual(
    device.executed.map(([id, { values }]) => [id, [...values]]),
    [
      [4, []],
      [
        4,
        [
          [0, 'now'],
          [1, ''],
        ],
      ],
    ],
  );
  await assert.rejects(talk.run(board.execute('/3/0/4', 'nonsense')), refused(Code.BAD_REQUEST));
  await assert.rejects(talk.run(board.execute('/3/0/0')), refused(Code.METHOD_NOT_ALLOWED));
  await assert.rejects(talk.run(board.execute('/3/0/5')), refused(Code.NOT_FOUND));
  assert.equal(device.executed.length, 2);
});

test('Discover lists what is there, with attributes', async () => {
  const talk = new Conversation([testDevice().instance, component(0, 'kernel', '6.12')]);
  const board = await talk.register();
  assert.equal(written(await talk.run(board.discover('/14'))), '</14>,</14/0>,</14/0/0>,</14/0/1>,</14/0/2>');
  await talk.run(board.writeAttributes('/3', { pmax: 600 }));
  await talk.run(board.writeAttributes('/3/0/9', { gt: 50.5, pmin: 10 }));
  assert.equal(
    written(await talk.run(board.discover('/3/0'))),
    '</3/0>,</3/0/0>,</3/0/1>,</3/0/4>,</3/0/9>;gt=50.5;pmin=10,</3/0/11>;dim=1,</3/0/13>,</3/0/14>,</3/0/16>',
  );
  assert.equal(written(await talk.run(board.discover('/3/0/9'))), '</3/0/9>;pmax=600;gt=50.5;pmin=10');
  assert.equal(written(await talk.run(board.discover('/3/0/11'))), '</3/0/11>;dim=1;pmax=600,</3/0/11/0>');
  await talk.run(board.writeAttributes('/3/0/9', { gt: null, pmin: null }));
  assert.equal(written(await talk.run(board.discover('/3/0/9'))), '</3/0/9>;pmax=600');
  await assert.rejects(talk.run(board.discover('/5')), refused(Code.NOT_FOUND));
  await assert.rejects(talk.run(board.discover('/')), refused(Code.NOT_FOUND));
});

test('Write-Attributes refuses what makes no sense and changes nothing', async () => {
  const talk = new Conversation([testDevice().instance]);
  const board = await talk.register();
  for (const [path, query, code] of [
    ['/3/0/9', ['pmin=x'], Code.BAD_REQUEST],
    ['/3/0/9', ['pmin=-1'], Code.BAD_REQUEST],
    ['/3/0/9', ['pmin=5', 'unknown=1'], Code.BAD_REQUEST],
    ['/3/0/9', ['st=0'], Code.BAD_REQUEST],
    ['/3/0/9', ['gt=10', 'lt=10'], Code.BAD_REQUEST],
    ['/3/0/0', ['gt=10'], Code.BAD_REQUEST],
    ['/3/0', ['gt=10'], Code.BAD_REQUEST],
    ['/5/0', ['pmin=1'], Code.NOT_FOUND],
    ['/0', ['pmin=1'], Code.UNAUTHORIZED],
  ] as const) {
    const response = await talk.run(board.request({ method: Code.PUT, path, query }));
    assert.equal(response.code, code, `${path} ${query.join('&')}`);
  }
  assert.equal(written(await talk.run(board.discover('/3/0/9'))), '</3/0/9>');
  await talk.run(board.writeAttributes('/3/0/9', { gt: 50 }));
  await assert.rejects(
    talk.run(board.writeAttributes('/3/0/9', { gt: 10, lt: 10 })),
    refused(Code.BAD_REQUEST),
  );
  assert.equal(written(await talk.run(board.discover('/3/0/9'))), '</3/0/9>;gt=50');
});

test('Create and Delete, where the client allows them', async () => {
  const created: [number, [number, unknown][]][] = [];
  const deleted: number[] = [];
  const talk = new Conversation([component(0, 'kernel', '6.12')], {
    factories: {
      14: (instanceId, values) => {
        created.push([instanceId, [...values]]);
        return {
          ...numberedInstance(14, instanceId, { 0: values.get(0) ?? '' }),
          delete: () => void deleted.push(instanceId),
        };
      },
    },
  });
  const board = await talk.register();
  assert.deepEqual(await talk.run(board.create(14, [{ path: [14, 7, 0], value: 'app' }])), [14, 7]);
  const anonymous = await talk.run(
    board.request({
      method: Code.POST,
      path: '/14',
      payload: Uint8Array.fromHex('c3006f6e65'),
      contentFormat: ContentFormat.LWM2M_TLV,
    }),
  );
  assert.equal(anonymous.code, Code.CREATED);
  assert.deepEqual(created, [
    [7, [[0, 'app']]],
    [1, [[0, 'one']]],
  ]);
  await assert.rejects(
    talk.run(board.create(14, [{ path: [14, 7, 0], value: 'again' }])),
    refused(Code.BAD_REQUEST),
  );
  const two = [
    { path: [14, 8, 0], value: 'x' },
    { path: [14, 9, 2], value: 'y' },
  ];
  await assert.rejects(talk.run(board.create(14, two)), refused(Code.BAD_REQUEST));
  await assert.rejects(
    talk.run(board.create(3, [{ path: [3, 1, 0], value: 'x' }])),
    refused(Code.METHOD_NOT_ALLOWED),
  );
  await talk.run(board.delete('/14/7'));
  await assert.rejects(talk.run(board.delete('/14/0')), refused(Code.METHOD_NOT_ALLOWED));
  await assert.rejects(talk.run(board.delete('/14/7')), refused(Code.NOT_FOUND));
  assert.deepEqual(deleted, [7]);
  await talk.clock.advance(1000);
  assert.deepEqual(
    board.paths.filter(([object]) => object === 14),
    [
      [14, 0],
      [14, 1],
    ],
  );
});

test('Read-Composite answers what it may of what was asked, Write-Composite writes all of it', async () => {
  const device = testDevice();
  const talk = new Conversation([device.instance, component(0, 'kernel', '6.12')]);
  const board = await talk.register();
  for (const accept of [ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR]) {
    const nodes = await talk.run(
      board.readComposite(['/3/0/0', '/14/0/2', '/0/0', '/3/0/4', '/9'], { accept }),
    );
    assert.deepEqual(table(nodes), { '/3/0/0': 'ARM', '/14/0/2': '6.12' });
  }
  const payload = new TextEncoder().encode('[{"n":"/3/0/14","vs":"-01:00"},{"n":"/1/0/2","v":5}]');
  const write = { method: Code.IPATCH, path: '/', payload, contentFormat: ContentFormat.SENML_JSON };
  assert.equal((await talk.run(board.request(write))).code, Code.CHANGED);
  assert.equal(device.values.get(14), '-01:00');
  assert.equal((await talk.run(board.read('/1/0/2')))[0]?.value, 5);
});

test('object 0 stays out of reach even of a model that would let it be read', async () => {
  const resources = resourceTable([[5, 'Secret Key', 'RW', 'single', 'mandatory', 'opaque']]);
  const security = { id: 0, name: 'Security', version: '1.1', multiple: true, mandatory: true, resources };
  const model = new ObjectModel([...standardModel.objects, security]);
  const talk = new Conversation([numberedInstance(0, 0, { 5: Uint8Array.of(1) })], { model });
  const board = await talk.register();
  const nodes = await talk.run(board.readComposite(['/', '/0', '/0/0/5']));
  assert.deepEqual(new Set(nodes.map(({ path: [objectId] }) => objectId)), new Set([1]));
  for (const path of ['/0', '/0/0', '/0/0/5']) {
    await assert.rejects(talk.run(board.read(path)), refused(Code.UNAUTHORIZED));
    await assert.rejects(talk.run(board.discover(path)), refused(Code.UNAUTHORIZED));
    await assert.rejects(talk.run(board.delete(path)), refused(Code.UNAUTHORIZED));
    await assert.rejects(talk.run(board.execute(path)), refused(Code.UNAUTHORIZED));
    await assert.rejects(talk.run(board.write(path, [])), refused(Code.UNAUTHORIZED));
    await assert.rejects(talk.run(board.writeAttributes(path, { pmin: 1 })), refused(Code.UNAUTHORIZED));
  }
  const payload = new TextEncoder().encode('[{"n":"/0/0/5","vd":"AA"}]');
  const write = { method: Code.IPATCH, path: '/', payload, contentFormat: ContentFormat.SENML_JSON };
  assert.equal((await talk.run(board.request(write))).code, Code.UNAUTHORIZED);
});

test('a path that is none is answered 4.00, an unknown method 4.05', async () => {
  const talk = new Conversation([testDevice().instance]);
  const link = talk.connect();
  await talk.run(talk.client.attach(link.client));
  const options = ['3', 'x'].map((segment) => ({ number: 11, value: new TextEncoder().encode(segment) }));
  const payload = new Uint8Array();
  assert.equal(
    (await talk.run(link.server.request({ code: Code.GET, options, payload }))).code,
    Code.BAD_REQUEST,
  );
  assert.equal(
    (await talk.run(link.server.request({ code: Code.PATCH, options: [], payload }))).code,
    Code.METHOD_NOT_ALLOWED,
  );
});
