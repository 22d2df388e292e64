// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock, TcpSession } from '@mbl/coap';
import type { Node } from '../node.ts';
import { hex } from '../testing/bytes.ts';
import type { Registration } from './registration.ts';
import { Lwm2mServer } from './server.ts';

/**
 * Whole conversations of foreign clients, byte for byte in both directions (RFC 8323 §3.2). Those of Anjay and Leshan, which Debian has no
 * package of, are built from their sources and the specifications; those of libcoap are recorded.
 */
class Replay {
  readonly clock = new SimulatedClock();
  readonly sent: Node[] = [];
  readonly server: Lwm2mServer<string>;
  #session: TcpSession;
  /** What the client answers to the next frames of the server, which must be these. */
  #script: (readonly [asked: string, answer: string])[] = [];

  constructor() {
    this.server = new Lwm2mServer<string>({
      authorize: () => undefined,
      location: () => 'rd/1',
      onSend: (_board, nodes) => void this.sent.push(...nodes),
      clock: this.clock,
    });
    this.#session = this.#connect();
  }

  /** A new connection in the place of the one before. */
  reconnect(): void {
    this.#session = this.#connect();
  }

  #connect(): TcpSession {
    let tokens = 0;
    const bytes = (length: number) => {
      const token = new Uint8Array(length);
      new DataView(token.buffer).setUint32(length - 4, ++tokens);
      return token;
    };
    const write = (frame: Uint8Array): number => {
      const [asked, answer] = this.#script.shift() ?? [];
      assert.equal(Buffer.from(frame).toString('hex'), asked?.replaceAll(/\s/g, ''));
      if (answer !== undefined && answer !== '')
        this.clock.schedule(1, () => this.#session.receive(hex(answer)));
      return 0;
    };
    const random = { bytes, fraction: () => 0 };
    const handler = this.server.handler('b');
    const transport = { write, end: () => {} };
    const session = new TcpSession(transport, { clock: this.clock, random, maxMessageSize: 1152, handler });
    this.#script = [['40 e1 22 04 80 20', '']];
    session.start();
    return session;
  }

  /** The server does something, for which it exchanges these frames and no others. */
  async serverDoes<T>(
    action: () => Promise<T>,
    ...script: (readonly [asked: string, answer: string])[]
  ): Promise<T> {
    this.#script = script;
    const result = await this.clock.until(action());
    assert.deepEqual(this.#script, []);
    return result;
  }

  /** The client sends this, and the server these frames. */
  async clientSends(frame: string, ...answers: string[]): Promise<void> {
    this.#script = answers.map((answer) => [answer, ''] as const);
    this.#session.receive(hex(frame));
    await this.clock.advance(1);
    assert.deepEqual(this.#script, []);
  }

  get board(): Registration<string> {
    const board = this.server.registration('b');
    assert.ok(board !== undefined);
    return board;
  }
}

const text = (line: string): string => Buffer.from(line).toString('hex');

test('Anjay, LwM2M 1.0: registers, is read, written, observed, executed, asked, deregisters', async () => {
  const replay = new Replay();
  await replay.clientSends('40 e1 22 0f a0 20');
  // POST /rd?lwm2m=1.0&ep=b&lt=300&b=T, link-format; 2.01 /rd/1.
  const links = '</1/1>,</3/0>,</3303>;ver="1.1",</3303/0>';
  await replay.clientSends(
    `d1 3c 02 a1 b2 ${text('rd')} 11 28 39 ${text('lwm2m=1.0')} 04 ${text('ep=b')} 06 ${text('lt=300')} 03 ${text('b=T')} ff ${text(links)}`,
    '51 41 a1 82 7264 01 31',
  );
  const { board } = replay;

  // GET /3303/0 without Accept: TLV, of which 5700 is a float and 5701 text.
  const tlv = 'e4 1644 41ac0000 e3 1645 43656c';
  const nodes = await replay.serverDoes(
    () => board.read('/3303/0'),
    ['74 01 00000001 b4 33333033 01 30', `d4 04 45 00000001 c2 2d16 ff ${tlv}`],
  );
  assert.deepEqual(
    nodes.map(({ value }) => value),
    [21.5, 'Cel'],
  );

  // PUT /1/1/1 in text, then POST /1/1 in TLV.
  await replay.serverDoes(
    () => board.write('/1/1/1', 300),
    [`b4 03 00000002 b1 31 01 31 01 31 10 ff ${text('300')}`, '04 44 00000002'],
  );
  const several = [
    { path: [1, 1, 1], value: 300 },
    { path: [1, 1, 6], value: true },
  ];
  await replay.serverDoes(
    () => board.write('/1/1', several, { mode: 'update' }),
    ['d4 02 02 00000003 b1 31 01 31 12 2d16 ff c2 01 012c c1 06 01', '04 44 00000003'],
  );

  // GET /3303/0/5700 with Observe 0; a notification; the same with Observe 1.
  const heard: unknown[] = [];
  const observation = await replay.serverDoes(
    () => board.observe('/3303/0/5700', (one) => heard.push(one.nodes()[0]?.value)),
    [
      'd4 00 01 00000004 60 54 33333033 01 30 04 35373030',
      'd4 00 45 00000004 61 01 62 2d16 ff e4 1644 41ac0000',
    ],
  );
  assert.deepEqual([observation.accepted, observation.first.nodes()[0]?.value], [true, 21.5]);
  await replay.clientSends('d4 00 45 00000004 61 02 62 2d16 ff e4 1644 41b40000');
  assert.deepEqual(heard, [22.5]);
  await replay.serverDoes(
    () => observation.cancel(),
    ['d4 01 01 00000004 61 01 54 33333033 01 30 04 35373030', 'b4 45 00000004 c2 2d16 ff e4 1644 41b40000'],
  );

  // POST /3/0/4; GET /3303/0 with Accept 40; POST /3303 in TLV, answered with 2.01 /3303/1; DELETE /3303/1.
  await replay.serverDoes(
    () => board.execute('/3/0/4'),
    ['64 02 00000005 b1 33 01 30 01 34', '04 44 00000005'],
  );
  const found = await replay.serverDoes(
    () => board.discover('/3303/0'),
    [
      '94 01 00000006 b4 33333033 01 30 61 28',
      `d4 0e 45 00000006 c1 28 ff ${text('</3303/0>,</3303/0/5700>')}`,
    ],
  );
  assert.deepEqual(
    found.map(({ target }) => target),
    ['/3303/0', '/3303/0/5700'],
  );
  const created = await replay.serverDoes(
    () => board.create(3303, [{ path: [3303, 1, 5701], value: 'Cel' }]),
    ['d4 04 02 00000007 b4 33333033 12 2d16 ff 06 01 e3 1645 43656c', '74 41 00000007 84 33333033 01 31'],
  );
  assert.deepEqual(created, [3303, 1]);
  await replay.serverDoes(
    () => board.delete(created),
    ['74 04 00000008 b4 33333033 01 31', '04 42 00000008'],
  );

  await replay.clientSends('51 02 a2 b2 7264 01 31', '01 44 a2');
  await replay.clientSends('51 04 a3 b2 7264 01 31', '01 42 a3');
  assert.equal(replay.server.registration('b'), undefined);
});

test('Leshan over java-coap, LwM2M 1.1: registers before its CSM, SenML, composite operations, Send', async () => {
  const replay = new Replay();
  const links = '</>;rt="oma.lwm2m";ct="60 110 112 11542 11543",</1/0>,</3>;ver=1.1,</3/0>';
  // POST /rd?b=T&lwm2m=1.1&lt=300&ep=b waits for the CSM.
  await replay.clientSends(
    `d2 5c 02 0a01 b2 7264 11 28 33 ${text('b=T')} 09 ${text('lwm2m=1.1')} 06 ${text('lt=300')} 04 ${text('ep=b')} ff ${text(links)}`,
  );
  await replay.clientSends('40 e1 22 04 80 20', '52 41 0a01 82 7264 01 31');
  const { board } = replay;

  const nodes = await replay.serverDoes(
    () => board.read('/3/0'),
    [
      '44 01 00000001 b1 33 01 30',
      `d4 28 45 00000001 c1 6e ff ${text('[{"bn":"/3/0/","n":"0","vs":"A"},{"n":"9","v":80}]')}`,
    ],
  );
  assert.deepEqual(
    nodes.map(({ value }) => value),
    ['A', 80],
  );
  // A single value in CBOR, which is what Leshan's client prefers.
  const level = await replay.serverDoes(
    () => board.read('/3/0/9'),
    ['64 01 00000002 b1 33 01 30 01 39', '54 45 00000002 c1 3c ff 18 50'],
  );
  assert.deepEqual(level, [{ path: [3, 0, 9], value: 80 }]);

  // POST /3/0 in SenML JSON: a partial update.
  await replay.serverDoes(
    () => board.write('/3/0', [{ path: [3, 0, 15], value: 'UTC' }], { mode: 'update' }),
    [
      `d4 1e 02 00000003 b1 33 01 30 11 6e ff ${text('[{"bn":"/3/0/","n":"15","vs":"UTC"}]')}`,
      '04 44 00000003',
    ],
  );

  // FETCH / and iPATCH /.
  const read = await replay.serverDoes(
    () => board.readComposite(['/3/0/0', '/3/0/9']),
    [
      `d4 17 05 00000004 c1 6e 51 6e ff ${text('[{"n":"/3/0/0"},{"n":"/3/0/9"}]')}`,
      `d4 25 45 00000004 c1 6e ff ${text('[{"n":"/3/0/0","vs":"A"},{"n":"/3/0/9","v":80}]')}`,
    ],
  );
  assert.equal(read.length, 2);
  await replay.serverDoes(
    () => board.writeComposite([{ path: [3, 0, 15], value: 'UTC' }]),
    [`d4 1a 07 00000005 c1 6e ff ${text('[{"bn":"/","n":"3/0/15","vs":"UTC"}]')}`, '04 44 00000005'],
  );

  // POST /dp in SenML JSON.
  await replay.clientSends(
    `d2 27 02 0a02 b2 ${text('dp')} 11 6e ff ${text('[{"bn":"/3303/0/5700","bt":1700000000,"v":21}]')}`,
    '02 44 0a02',
  );
  assert.deepEqual(replay.sent, [{ path: [3303, 0, 5700], value: 21, time: 1_700_000_000 }]);
  await replay.clientSends('52 04 0a03 b2 7264 01 31', '02 42 0a03');
});

test('a client of LwM2M 1.0 that has JSON alone, as the specification has it', async () => {
  const replay = new Replay();
  await replay.clientSends('40 e1 22 04 80 20');
  const links = '</>;rt="oma.lwm2m";ct=11543,</1/0>,</3/0>';
  await replay.clientSends(
    `d1 38 02 a1 b2 ${text('rd')} 11 28 39 ${text('lwm2m=1.0')} 04 ${text('ep=b')} 06 ${text('lt=300')} ff ${text(links)}`,
    '51 41 a1 82 7264 01 31',
  );
  const { board } = replay;
  const nodes = await replay.serverDoes(
    () => board.read('/3/0'),
    [
      '44 01 00000001 b1 33 01 30',
      `d4 2f 45 00000001 c2 2d17 ff ${text('{"bn":"/3/0/","e":[{"n":"0","sv":"A"},{"n":"9","v":80}]}')}`,
    ],
  );
  assert.deepEqual(
    nodes.map(({ value }) => value),
    ['A', 80],
  );
  await replay.serverDoes(
    () => board.write('/3/0', [{ path: [3, 0, 15], value: 'UTC' }], { mode: 'update' }),
    [
      `d4 25 02 00000002 b1 33 01 30 12 2d17 ff ${text('{"bn":"/3/0/","e":[{"n":"15","sv":"UTC"}]}')}`,
      '04 44 00000002',
    ],
  );
});

test("libcoap 4.3.1's coap-client, recorded: registers, and updates, sends, deregisters over connections of their own", async () => {
  const replay = new Replay();
  // Uri-Port, which it always sends, says nothing here.
  const csm = '50 e1 23 80 01 00 20';
  await replay.clientSends(
    `${csm} d1 1f 02 01 72 b085 42 7264 11 28 34 65703d62 06 6c743d333030 09 6c776d326d3d312e31 03 623d54 ff 3c2f333330332f303e`,
    '51 41 01 82 7264 01 31',
  );
  assert.deepEqual(replay.board.paths, [[3303, 0]]);
  replay.reconnect();
  await replay.clientSends(`${csm} d1 02 02 01 72 b085 42 7264 01 31 46 6c743d363030`, '01 44 01');
  assert.equal(replay.board.lifetime, 600);
  // Over a connection on which nobody is registered.
  replay.reconnect();
  const sample = '5b7b226e223a222f333330332f302f35373030222c2276223a32317d5d';
  await replay.clientSends(`${csm} d1 19 02 01 72 b085 42 6470 11 6e ff ${sample}`, '01 84 01');
  assert.deepEqual(replay.sent, []);
  replay.reconnect();
  await replay.clientSends(`${csm} 81 04 01 72 b085 42 7264 01 31`, '01 42 01');
  assert.equal(replay.server.registration('b'), undefined);
});
