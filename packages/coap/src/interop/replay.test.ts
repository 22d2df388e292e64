// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '../codes.ts';
import type { CoapResponse } from '../peer.ts';
import { SimulatedClock } from '../simulation/simulated-clock.ts';
import { TcpSession, type TcpSessionOptions } from '../tcp/tcp-session.ts';
import { coapError, content, get, hex, pattern, text } from '../testing/support.ts';

/** Flows of LwM2M clients that Debian has no package of, byte for byte (RFC 8323 §3.2). */

/** One session; its tokens count from 00000001. */
class Replay {
  readonly clock = new SimulatedClock();
  readonly session: TcpSession;
  readonly #sent: string[] = [];
  /** What the other end does with a frame, in hexadecimal digits. */
  answer: (frame: string) => string | undefined = () => undefined;

  constructor(options: TcpSessionOptions) {
    let tokens = 0;
    const bytes = (length: number) => {
      const token = new Uint8Array(length);
      new DataView(token.buffer).setUint32(length - 4, ++tokens);
      return token;
    };
    const write = (frame: Uint8Array): number => {
      const digits = Buffer.from(frame).toString('hex');
      this.#sent.push(digits);
      const answer = this.answer(digits);
      if (answer !== undefined) this.clock.schedule(1, () => this.send(answer));
      return 0;
    };
    this.session = new TcpSession(
      { write, end: () => {} },
      { clock: this.clock, random: { bytes, fraction: () => 0 }, maxMessageSize: 1152, ...options },
    );
    this.session.start();
    this.expect('40 e1 22 04 80 20');
  }

  send(digits: string): void {
    this.session.receive(hex(digits));
  }

  /** What was sent since the last call, and no more. */
  expect(...frames: string[]): void {
    assert.deepEqual(
      this.#sent.splice(0),
      frames.map((frame) => frame.replaceAll(' ', '')),
    );
  }
}

/** Anjay's CSM: 4000 bytes, block-wise. */
const anjayCsm = '40 e1 22 0f a0 20';
const block = Buffer.from(pattern(64)).toString('hex');

/**
 * Anjay with a body of `blocks` blocks of 64 bytes at /19, as it answers: amid a transfer it has 5.03 for everything but the next
 * block, for five minutes.
 */
function anjay(blocks: number): (frame: string) => string {
  let next = 0;
  return (frame) => {
    const token = frame.slice(4, 12);
    const wanted = /b2 ?3139c1(..)$/.exec(frame)?.[1];
    const number = wanted === undefined ? 0 : Number.parseInt(wanted, 16) >> 4;
    if (number !== next) return `04 a3 ${token}`;
    const last = number === blocks - 1;
    next = last ? 0 : number + 1;
    const option = ((number << 4) | (last ? 0 : 8) | 2).toString(16).padStart(2, '0');
    // 2.05 with content format 11542 and Block2; Observe too where the request registers.
    const observed = frame.startsWith('4401') && frame.slice(12, 14) === '60';
    const head = observed ? `d4 3b 45 ${token} 61 01 62 2d 16` : `d4 39 45 ${token} c2 2d 16`;
    return `${head} b1 ${option} ff ${block}`;
  };
}

test('Anjay: the answer to the end of an observation is larger than a block', async () => {
  const replay = new Replay({});
  replay.answer = anjay(2);
  replay.send(anjayCsm);
  const { peer } = replay.session;
  const observation = await replay.clock.until(peer.observe(get('/19'), () => {}));
  assert.equal(observation.first.payload.length, 128);
  replay.expect('44 01 00000001 60 52 31 39', '54 01 00000002 b2 31 39 c1 12');
  await replay.clock.until(observation.cancel());
  replay.expect('54 01 00000001 61 01 52 31 39', '54 01 00000003 b2 31 39 c1 12');
  const read = await replay.clock.until(peer.request(get('/19')));
  assert.deepEqual([read.code, read.payload.length], [Code.CONTENT, 128]);
  replay.expect('34 01 00000004 b2 31 39', '54 01 00000005 b2 31 39 c1 12');
});

test('Anjay: a body over the limit is fetched to its end, and the next request is answered', async () => {
  const replay = new Replay({ limits: { maxBodySize: 128 } });
  replay.answer = anjay(4);
  replay.send(anjayCsm);
  const { peer } = replay.session;
  await assert.rejects(replay.clock.until(peer.request(get('/19'))), coapError('coap/body-too-large'));
  replay.expect(
    '34 01 00000001 b2 31 39',
    '54 01 00000002 b2 31 39 c1 12',
    '54 01 00000003 b2 31 39 c1 22',
    '54 01 00000004 b2 31 39 c1 32',
  );
  const observation = await replay.clock.until(
    peer.observe(get('/19'), () => {}).catch((error: unknown) => error),
  );
  assert.ok(coapError('coap/body-too-large')(observation));
  replay.answer = anjay(1);
  assert.equal((await replay.clock.until(peer.request(get('/19')))).code, Code.CONTENT);
});

test('a body without end is given up, whatever becomes of its transfer', async () => {
  const replay = new Replay({ limits: { maxBodySize: 128 } });
  let asked = 0;
  replay.answer = (frame) => {
    const token = frame.slice(4, 12);
    const option = Math.max((asked << 4) | 8 | 2, 0x0a);
    asked += 1;
    const value = option.toString(16).padStart(option > 255 ? 4 : 2, '0');
    const rest = `${value} ff ${block}`;
    return option > 255 ? `d4 3a 45 ${token} c2 2d 16 b2 ${rest}` : `d4 39 45 ${token} c2 2d 16 b1 ${rest}`;
  };
  replay.send(anjayCsm);
  const reading = replay.session.peer.request(get('/19'));
  await assert.rejects(replay.clock.until(reading), coapError('coap/body-too-large'));
  assert.ok(asked > 3 && asked <= 2 + (16 * 128) / 64, `${asked} blocks`);
});

/** A registration as java-coap sends it: POST /rd?ep=b&lwm2m=1.1 of </3>, link-format. */
const register = 'd2 0c 02 0a01 b2 72 64 11 28 34 65 70 3d 62 09 6c 77 6d 32 6d 3d 31 2e 31 ff 3c 2f 33 3e';

function registrar(): { replay: Replay; served: CoapResponse[] } {
  const served: CoapResponse[] = [];
  const handler = (request: CoapResponse) => {
    served.push(request);
    return { ...content(''), code: Code.CREATED };
  };
  return { replay: new Replay({ handler }), served };
}

test('java-coap: the first request comes before the CSM and is served when that is here', async () => {
  const { replay, served } = registrar();
  replay.send(register);
  await replay.clock.advance(1000);
  replay.expect();
  assert.equal(served.length, 0);
  // Its CSM, in one piece with the next request.
  replay.send('40 e1 22 04 80 20  02 01 0a02');
  await replay.clock.advance(1);
  replay.expect('02 41 0a01', '02 41 0a02');
  assert.equal(text(served[0]?.payload ?? hex('')), '</3>');
  await replay.clock.advance(60_000);
  assert.equal(replay.session.peer.closed.aborted, false);
});

test('RFC 8323 §5.3: without a CSM in time, or with too much before it, the connection is aborted', async () => {
  const late = registrar();
  late.replay.send(register);
  await late.replay.clock.advance(4999);
  assert.equal(late.replay.session.peer.closed.aborted, false);
  await late.replay.clock.advance(2);
  assert.ok(coapError('coap/protocol')(late.replay.session.peer.closed.reason));
  late.replay.send('40 e1 22 04 80 20');
  assert.equal(late.served.length, 0);

  const many = registrar();
  for (let count = 1; count <= 4; count++) many.replay.send(register);
  assert.equal(many.replay.session.peer.closed.aborted, false);
  many.replay.send(register);
  assert.ok(coapError('coap/protocol')(many.replay.session.peer.closed.reason));
  await many.replay.clock.advance(60_000);
  assert.equal(many.replay.clock.pending, 0);

  for (const first of ['00 45', '00 e2']) {
    const { replay } = registrar();
    replay.send(first);
    assert.ok(coapError('coap/protocol')(replay.session.peer.closed.reason), first);
  }
});
