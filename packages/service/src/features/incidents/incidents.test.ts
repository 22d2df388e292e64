// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Lwm2mClient, mblBoardModel, type Node, objectInstance, serverObject } from '@mbl/lwm2m';
import fc from 'fast-check';
import pg from 'pg';
import { enrol, eventually, TestDevice, type TestIdentity } from '../../testing/device.ts';
import { directoryView } from '../../testing/directory-view.ts';
import { TestService } from '../../testing/service.ts';
import type { Context } from '../../context.ts';
import { silentLog } from '../../infra/log.ts';
import type { EventRecorder } from '../device-events/recorder.ts';
import type { DeviceSession } from '../connections/session.ts';
import { describeIncident, parseIncidents } from './incident.ts';
import { Incidents } from './incidents.ts';

/** A board in memory: what it has to tell, and what it was told to forget. */
class Board implements AsyncDisposable {
  readonly incidents: string[];
  readonly forgotten: string[] = [];
  reads = 0;
  /** Instead of what it has to tell. */
  answer: (() => Promise<Map<number, string>>) | undefined;
  /** Instead of forgetting. */
  refuse: (() => Promise<void>) | undefined;
  readonly #client: Lwm2mClient;
  readonly #service: TestService;
  readonly #identity: TestIdentity;
  readonly #connections: TestDevice[] = [];

  constructor(service: TestService, identity: TestIdentity, incidents: readonly string[]) {
    this.#service = service;
    this.#identity = identity;
    this.incidents = [...incidents];
    this.#client = new Lwm2mClient({
      endpointName: identity.name,
      objects: [
        serverObject({ lifetime: 300 }),
        objectInstance(mblBoardModel, 0, {
          incidents: {
            read: async () => {
              this.reads += 1;
              return await (this.answer?.() ?? new Map(this.incidents.entries()));
            },
          },
          forgetIncidents: {
            execute: async ({ values }) => {
              await this.refuse?.();
              const ids = values.get(0)?.split(',') ?? [];
              this.forgotten.push(...ids);
              const left = this.incidents.filter((one) => !ids.includes(one.split(' ')[0] ?? ''));
              this.incidents.splice(0, this.incidents.length, ...left);
            },
          },
        }),
      ],
    });
  }

  static async enrolled(service: TestService, name: string, incidents: readonly string[]): Promise<Board> {
    return new Board(service, await enrol(service, name), incidents);
  }

  get deviceId(): string {
    return this.#identity.deviceId;
  }

  /** Over a connection of its own each time, as after a restart. */
  async register(): Promise<TestDevice> {
    await this.#connections.at(-1)?.[Symbol.asyncDispose]();
    const connection = await TestDevice.connect(this.#service, this.#identity, {
      handler: this.#client.handler,
    });
    this.#connections.push(connection);
    await this.#client.attach(connection.peer);
    return connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) await connection[Symbol.asyncDispose]();
    await this.#client[Symbol.asyncDispose]();
  }
}

describe('what a board had to do to come back', { timeout: 240_000 }, () => {
  let service: TestService;
  /** The service's clock, that of the machine and this. */
  let ahead = 0;
  before(async () => {
    service = await TestService.start({ now: () => Date.now() + ahead });
  });
  after(() => service[Symbol.asyncDispose]());
  const view = directoryView(() => service);
  const recoveries = async (deviceId: string): Promise<{ description: string; data: object }[]> => {
    const query = `device_id__eq=${deviceId}&event_type__eq=device.board-recovered&limit=500`;
    return (await service.get(`/v3/device-events?${query}`)).body.data;
  };

  const made = 'data-made-0123abcd data-made no file system, 300 MiB';
  const changed = 'slot-changed-89ab4567 slot-changed b after a';

  test('is an event for each, once; then the board forgets it', async () => {
    await using board = await Board.enrolled(service, 'board-1', [made, changed]);
    await board.register();
    await eventually(async () => board.incidents.length === 0, 'both are forgotten');
    assert.deepEqual(board.forgotten, ['data-made-0123abcd', 'slot-changed-89ab4567']);
    assert.deepEqual(
      (await recoveries(board.deviceId)).map(({ description, data }) => [description, data]),
      [
        [
          'The board lost its data and made an empty file system for it: no file system, 300 MiB',
          { incident: 'data-made-0123abcd', kind: 'data-made', detail: 'no file system, 300 MiB' },
        ],
        [
          'The board could not start one slot and started the other: b after a',
          { incident: 'slot-changed-89ab4567', kind: 'slot-changed', detail: 'b after a' },
        ],
      ],
    );
    board.incidents.push('watchdog-00000001 watchdog');
    await board.register();
    await eventually(async () => board.incidents.length === 0, 'the new one is forgotten, too');
    assert.equal((await recoveries(board.deviceId)).length, 3);
  });

  test('is one event when the answer to forgetting is lost, and however often the board registers', async () => {
    await using board = await Board.enrolled(service, 'board-2', [made]);
    board.refuse = () => Promise.reject(new Error('the disk is read-only'));
    await board.register();
    await eventually(async () => (await recoveries(board.deviceId)).length === 1, 'it is written down');
    const connection = await board.register();
    await eventually(async () => board.reads >= 2, 'it is asked again');
    board.refuse = undefined;
    // On the same connection, one upon the other.
    await Promise.all([1, 2, 3].map(() => connection.registerAgain()));
    await board.register();
    await eventually(async () => board.incidents.length === 0, 'it is forgotten at last');
    assert.equal((await recoveries(board.deviceId)).length, 1);
  });

  test('is one event when the service ends between writing and forgetting', async () => {
    await using board = await Board.enrolled(service, 'board-3', [made]);
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    board.refuse = () => held;
    await board.register();
    await eventually(async () => (await recoveries(board.deviceId)).length === 1, 'it is written down');
    await service.restart();
    release();
    board.incidents.splice(0, board.incidents.length, made);
    board.refuse = undefined;
    await board.register();
    await eventually(async () => board.incidents.length === 0, 'it is forgotten');
    assert.equal((await recoveries(board.deviceId)).length, 1);
  });

  test('that is found again at every start is an event once a day', async () => {
    const found = async (expected: number) => {
      board.incidents.push(changed);
      await board.register();
      await eventually(async () => board.incidents.length === 0, 'it is forgotten');
      assert.equal((await recoveries(board.deviceId)).length, expected);
    };
    await using board = await Board.enrolled(service, 'board-10', []);
    await found(1);
    await found(1);
    ahead = 25 * 3_600_000;
    try {
      await found(2);
      await found(2);
    } finally {
      ahead = 0;
    }
  });

  test('two writers of one incident make one event', async () => {
    await using board = await Board.enrolled(service, 'board-4', [made]);
    const other = new pg.Client(service.options.databaseUrl);
    await other.connect();
    try {
      board.answer = async () => {
        await other.query('begin');
        await other.query('select from devices where id = $1 for update', [board.deviceId]);
        return new Map(board.incidents.entries());
      };
      await board.register();
      await eventually(
        async () => (await other.query('select from pg_locks where not granted')).rows.length > 0,
        'the service waits for the other writer',
      );
      await other.query('insert into incidents values ($1, $2, now())', [
        board.deviceId,
        'data-made-0123abcd',
      ]);
      await other.query('commit');
    } finally {
      await other.end();
    }
    await eventually(async () => board.incidents.length === 0, 'it is forgotten');
    assert.equal((await recoveries(board.deviceId)).length, 0, 'the other one wrote it');
  });

  test('nonsense is left out, and what is right among it is not', async () => {
    const bad = [
      '',
      'data-made-0123abcd',
      'data-made-0123abcd config-made of another kind',
      'DATA-0123abcd DATA loud',
      `data-made-11111111 data-made ${'x'.repeat(201)}`,
      'data-made-22222222 data-made two\nlines',
      'data-made-33333333 data-made \u0000',
      '../../etc-44444444 ../../etc up',
      'x'.repeat(20_000),
    ];
    await using board = await Board.enrolled(service, 'board-5', [...bad, changed]);
    await board.register();
    await eventually(async () => board.forgotten.length > 0, 'one is forgotten');
    assert.deepEqual(board.forgotten, ['slot-changed-89ab4567']);
    assert.equal((await recoveries(board.deviceId)).length, 1);
  });

  test('a board that tells without end fills no table: so many events a day, and the rest later', async () => {
    await using board = await Board.enrolled(service, 'board-6', []);
    const many = (from: number) =>
      Array.from({ length: 200 }, (_, n) => `watchdog-${(from + n).toString(16).padStart(8, '0')} watchdog`);
    board.incidents.push(...many(0));
    await board.register();
    await eventually(async () => board.forgotten.length === 64, 'as many as a board may keep');
    await board.register();
    await eventually(async () => board.reads === 2, 'it is asked again');
    await board.register();
    await eventually(async () => board.reads === 3, 'and again');
    assert.equal((await recoveries(board.deviceId)).length, 64);
    assert.equal(board.incidents.length, 200 - 64);
  });

  test('a board that does not answer loses nothing else: its requests go on, and so does its connection', async () => {
    await using board = await Board.enrolled(service, 'board-7', []);
    board.answer = () => new Promise(() => {});
    const connection = await board.register();
    await eventually(async () => board.reads === 1, 'it is asked');
    const started = performance.now();
    const read = await service.get(`/v3/devices/${board.deviceId}/resources/1/0/1`);
    assert.equal(read.status, 200);
    assert.equal(read.body.resources[0].value, 300);
    assert.ok(performance.now() - started < 5000, 'it waits for nothing');
    assert.ok(!connection.peer.closed.aborted);
    assert.equal((await view.show(board.deviceId)).online, true);
  });

  test('a board that could not tell yet is asked again, without registering again', async () => {
    await using board = await Board.enrolled(service, 'board-9', [made]);
    board.answer = () => Promise.reject(new Error('starting'));
    await board.register();
    await eventually(async () => board.reads === 1, 'it is asked');
    board.answer = undefined;
    await eventually(async () => board.incidents.length === 0, 'it is asked again');
    assert.equal(board.reads, 2);
    assert.equal((await recoveries(board.deviceId)).length, 1);
  });

  test('a board without the object is not asked', async () => {
    const identity = await enrol(service, 'board-8');
    let asked = 0;
    const handler = () => {
      asked += 1;
      return { code: 0x45, options: [], payload: new Uint8Array() };
    };
    await using device = await TestDevice.register(service, identity, { handler });
    // What is asked comes before what is asked later.
    await service.get(`/v3/devices/${identity.deviceId}/resources/3/0/0`);
    assert.equal(asked, 1);
    assert.ok(!device.peer.closed.aborted);
  });
});

test('a board that never answers is asked so often, each time so long, and one at a time', async () => {
  let [reads, pending, most] = [0, 0, 0];
  const read = (_path: unknown, { signal }: { signal: AbortSignal }) => {
    most = Math.max(most, ++pending);
    reads += 1;
    return new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        pending -= 1;
        reject(signal.reason as Error);
      });
    });
  };
  const ends: AbortController[] = [];
  /** The device registers: its session before is over. */
  const registers = () => {
    ends.at(-1)?.abort();
    const ending = new AbortController();
    ends.push(ending);
    const { signal: ended } = ending;
    return { identity: { deviceId: 'one' }, paths: [[33400, 0]], read, ended } as unknown as DeviceSession;
  };
  const lines: string[] = [];
  const log = { ...silentLog, warn: (line: string) => void lines.push(line) };
  const events = {} as EventRecorder;
  const start = () => new Incidents({ log } as Context, { events, timeoutMs: 30, pausesMs: [5, 5] });
  {
    using incidents = start();
    await incidents.collect(registers());
    assert.deepEqual([reads, pending, lines.length], [3, 0, 3]);
  }
  {
    using incidents = start();
    const first = incidents.collect(registers());
    // In a loop, on the same connection.
    for (let n = 0; n < 100; n++) await incidents.collect(registers());
    await first;
    assert.equal(most, 1);
    assert.ok(reads <= 3 + 1 + 3, `${reads} reads`);
  }
  const incidents = start();
  const stopped = incidents.collect(registers());
  incidents[Symbol.dispose]();
  await stopped;
  assert.equal(pending, 0);
});

test('whatever a device says is an incident or nothing', () => {
  const value = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean(), fc.uint8Array());
  fc.assert(
    fc.property(fc.array(value), (values) => {
      const nodes = values.map((one, index): Node => ({ path: [33400, 0, 2, index], value: one }));
      for (const incident of parseIncidents(nodes)) assert.match(describeIncident(incident), /^The board/);
    }),
  );
  const kinds = ['config-made', 'something-new'];
  assert.deepEqual(
    kinds.map((kind) => describeIncident({ id: `${kind}-00000000`, kind, detail: '' })),
    [
      'The board lost its configuration and made an empty one',
      'The board came back by itself (something-new)',
    ],
  );
});
