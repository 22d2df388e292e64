// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, formatCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import { BERT, blockOption, blockValue } from '../message/block.ts';
import type { CoapMessage } from '../message/message.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { emptyOption, stringOption, uintOption, uintValue } from '../message/option-values.ts';
import { encodeTcpFrame, TcpFrameSplitter } from '../message/tcp-frame.ts';
import type { CoapOptions } from '../options.ts';
import type { Observer } from '../peer.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { SimulatedClock } from '../simulation/simulated-clock.ts';
import { SimulatedStream } from '../simulation/simulated-stream.ts';
import { coapError, content, get, hex, pattern, put, text, utf8 } from '../testing/support.ts';
import { csmMessage, SignalOption } from './signals.ts';
import { TcpSession, type TcpSessionOptions } from './tcp-session.ts';

/** One session and, on the other side, this test. */
class Scripted {
  readonly clock = new SimulatedClock();
  readonly session: TcpSession;
  ended: 'graceful' | 'immediate' | undefined;
  /** Bytes that the network has not taken. */
  queued = 0;
  readonly #splitter = new TcpFrameSplitter({ maxMessageSize: 2 ** 24, maxOptions: 64 });

  constructor(options: TcpSessionOptions = {}) {
    this.session = new TcpSession(
      {
        write: (bytes) => {
          this.#splitter.push(bytes);
          return this.queued;
        },
        end: (how) => {
          this.ended = how;
        },
      },
      { clock: this.clock, random: new SeededRandom(1), ...options },
    );
    this.session.start();
    assert.equal(this.next().code, Code.CSM);
  }

  next(): CoapMessage {
    return this.#splitter.next() ?? assert.fail('the session sent nothing');
  }

  get silent(): boolean {
    return this.#splitter.pending === 0;
  }

  send(code: number, options: CoapOptions = [], payload = hex(''), token = hex('')): void {
    this.session.receive(encodeTcpFrame({ code, options, payload, token }));
  }

  get reason(): CoapError {
    const { closed } = this.session.peer;
    assert.ok(closed.reason instanceof CoapError);
    return closed.reason;
  }
}

test('the first message is a CSM with size and blockwise', () => {
  const frames: Uint8Array[] = [];
  const session = new TcpSession(
    { write: (bytes) => frames.push(bytes), end: () => {} },
    { maxMessageSize: 1152 },
  );
  session.start();
  assert.deepEqual(frames, [hex('40 e1 22 04 80 20')]);
});

test('a peer that does not send a CSM is aborted', async () => {
  const scripted = new Scripted();
  scripted.send(Code.GET);
  await scripted.clock.advance(5001);
  assert.equal(scripted.next().code, Code.ABORT);
  assert.equal(scripted.reason.code, 'coap/protocol');
  assert.equal(scripted.ended, 'graceful');
});

test('an unknown critical option in a CSM is aborted and named; an elective one is ignored', () => {
  const scripted = new Scripted();
  scripted.send(Code.CSM, [uintOption(6, 1)]);
  assert.ok(scripted.silent);
  scripted.send(Code.CSM, [uintOption(5, 1)]);
  const abort = scripted.next();
  assert.equal(abort.code, Code.ABORT);
  assert.equal(uintValue(abort.options, SignalOption.BAD_CSM_OPTION), 5);
  assert.match(text(abort.payload), /critical option 5/);
});

test('malformed and oversized frames abort the connection', () => {
  for (const [bytes, code] of [
    ['09 01', 'coap/message-format'],
    ['10 01 ff', 'coap/message-format'],
    ['f0 ff ff ff ff 01', 'coap/message-too-large'],
  ] as const) {
    const scripted = new Scripted();
    scripted.session.receive(encodeTcpFrame(csmMessage(1152)));
    scripted.session.receive(hex(bytes));
    assert.equal(scripted.next().code, Code.ABORT);
    assert.equal(scripted.reason.code, code);
    scripted.send(Code.PING);
    assert.ok(scripted.silent, 'nothing is answered afterwards');
  }
});

test('a request waits for the CSM of the peer, and no longer than its deadline', async () => {
  const { clock, session } = new Scripted();
  await assert.rejects(
    clock.until(session.peer.request(get('/'), { timeoutMs: 500 })),
    coapError('coap/timeout'),
  );
  assert.equal(clock.now(), 500);
});

test('Ping is answered with its token; Empty, unknown signals and stray responses are ignored', () => {
  const scripted = new Scripted();
  scripted.send(Code.CSM);
  scripted.send(Code.EMPTY);
  scripted.send(0xe9);
  scripted.send(Code.CONTENT, [], utf8('nobody asked'), hex('01'));
  scripted.send(Code.PONG, [], hex(''), hex('09'));
  scripted.send(Code.PING, [emptyOption(SignalOption.CUSTODY)], hex(''), hex('0a0b'));
  const pong = scripted.next();
  assert.equal(pong.code, Code.PONG);
  assert.deepEqual(pong.token, hex('0a0b'));
  assert.ok(scripted.silent);
});

test('a Pong without token answers the oldest Ping', async () => {
  const scripted = new Scripted();
  scripted.send(Code.CSM);
  const ping = scripted.session.peer.ping();
  assert.equal(scripted.next().code, Code.PING);
  scripted.send(Code.PONG);
  await scripted.clock.until(ping);
});

test('Abort and Release of the peer end the session with their reasons', async () => {
  const aborted = new Scripted();
  aborted.send(Code.ABORT, [], utf8('bad day'));
  assert.equal(aborted.reason.code, 'coap/peer-aborted');
  assert.match(aborted.reason.message, /bad day/);
  assert.equal(aborted.ended, 'immediate');

  const released = new Scripted({
    handler: () => new Promise((resolve) => released.clock.schedule(1000, () => resolve(content('done')))),
  });
  released.send(Code.CSM);
  released.send(Code.GET, [], hex(''), hex('01'));
  await released.clock.advance(10);
  const { ALTERNATIVE_ADDRESS, HOLD_OFF } = SignalOption;
  released.send(Code.RELEASE, [stringOption(ALTERNATIVE_ADDRESS, '192.0.2.1'), uintOption(HOLD_OFF, 7)]);
  await assert.rejects(released.session.peer.request(get('/')), coapError('coap/released'));
  assert.equal(released.ended, undefined, 'the request under way is answered first');
  await released.clock.advance(2000);
  assert.equal(released.next().code, Code.CONTENT);
  assert.equal(released.ended, 'graceful');
  assert.deepEqual(released.reason.details, { holdOffSeconds: 7, alternativeAddresses: ['192.0.2.1'] });
  assert.equal(released.clock.pending, 0);
});

test('closing says Release', () => {
  const scripted = new Scripted();
  scripted.session.peer.close();
  assert.equal(scripted.next().code, Code.RELEASE);
  assert.equal(scripted.ended, 'graceful');
  assert.equal(scripted.reason.code, 'coap/closed');
});

test('a peer that takes no blocks and small messages is not sent more', async () => {
  const scripted = new Scripted({ handler: () => content(pattern(5000)), onHandlerError: () => {} });
  scripted.send(Code.CSM);
  const { clock, session } = scripted;
  await assert.rejects(
    clock.until(session.peer.request(put('/', pattern(5000)))),
    coapError('coap/body-too-large'),
  );
  scripted.send(Code.GET);
  await clock.advance(1);
  assert.equal(scripted.next().code, Code.INTERNAL_SERVER_ERROR);
});

test('RFC 8323 §6.1: a response in BERT blocks', async () => {
  const scripted = new Scripted();
  scripted.session.receive(encodeTcpFrame(csmMessage(100_000)));
  const response = scripted.session.peer.request(get('/status'));
  const body = pattern(3072 + 5120 + 4711);
  await scripted.clock.advance(1);
  let sent = 0;
  for (const [number, size] of [
    [0, 3072],
    [3, 5120],
    [8, 4711],
  ] as const) {
    const asked = scripted.next();
    const expected = number === 0 ? undefined : { number, more: false, sizeExponent: BERT };
    assert.deepEqual(blockValue(asked.options, OptionNumber.BLOCK2), expected);
    const block = blockOption(OptionNumber.BLOCK2, { number, more: number < 8, sizeExponent: BERT });
    scripted.send(Code.CONTENT, [block], body.subarray(sent, sent + size), asked.token);
    sent += size;
    await scripted.clock.advance(1);
  }
  assert.deepEqual(Buffer.from((await response).payload), Buffer.from(body));
});

test('RFC 8323 §6.2: a request in BERT blocks', async () => {
  let received: Uint8Array | undefined;
  const scripted = new Scripted({
    handler: ({ payload }) => {
      received = payload;
      return { ...content(''), code: Code.CHANGED };
    },
  });
  scripted.session.receive(encodeTcpFrame(csmMessage(100_000)));
  const body = pattern(8192 + 16_384 + 5683);
  let sent = 0;
  for (const [number, size] of [
    [0, 8192],
    [8, 16_384],
    [24, 5683],
  ] as const) {
    const block = { number, more: number < 24, sizeExponent: BERT };
    scripted.send(Code.PUT, [blockOption(OptionNumber.BLOCK1, block)], body.subarray(sent, sent + size));
    await scripted.clock.advance(1);
    const answer = scripted.next();
    assert.equal(formatCode(answer.code), block.more ? '2.31' : '2.04');
    assert.deepEqual(blockValue(answer.options, OptionNumber.BLOCK1), block);
    sent += size;
  }
  assert.deepEqual(Buffer.from(received ?? []), Buffer.from(body));
});

test('bodies of any size pass between sessions whose messages are small, in pieces', async () => {
  for (const [maxMessageSize, largestPiece] of [
    [1152, 1],
    [1152, 300],
    [5000, 1500],
    [200, 100],
  ] as const) {
    const clock = new SimulatedClock();
    const echo = { handler: (request: { payload: Uint8Array }) => content(request.payload), maxMessageSize };
    const stream = new SimulatedStream(clock, new SeededRandom(7), echo, echo, { largestPiece });
    stream.start();
    for (const size of [0, 1, 1023, 1024, 1025, 20_000]) {
      const response = await clock.until(stream.client.peer.request(put('/x', pattern(size))));
      assert.deepEqual(
        Buffer.from(response.payload),
        Buffer.from(pattern(size)),
        `${size} in ${maxMessageSize}`,
      );
    }
  }
});

test('keep-alive: a cut cable is noticed after interval and timeout, not before', async () => {
  const clock = new SimulatedClock();
  const keepAlive = { intervalMs: 30_000, timeoutMs: 10_000 };
  let observer: Observer | undefined;
  const server: TcpSessionOptions = {
    keepAlive,
    handler: (_request, { acceptObserve }) => {
      observer ??= acceptObserve?.();
      return content('');
    },
  };
  const stream = new SimulatedStream(clock, new SeededRandom(1), {}, server);
  stream.start();
  await clock.until(stream.client.peer.observe(get('/'), () => {}));
  await clock.advance(3_600_000);
  assert.equal(stream.server.peer.closed.aborted, false);
  await clock.until(stream.client.peer.request(get('/')));
  stream.cut();
  await clock.advance(29_000);
  assert.equal(stream.server.peer.closed.aborted, false);
  await clock.advance(12_000);
  assert.equal((stream.server.peer.closed.reason as CoapError).code, 'coap/keep-alive');
  assert.equal(observer?.signal.aborted, true);
});

test('keep-alive: whenever the peer falls silent, interval and timeout later it is given up', async () => {
  for (let answered = 0; answered < 500; answered += 50) {
    const scripted = new Scripted({ keepAlive: { intervalMs: 1000, timeoutMs: 500 } });
    scripted.send(Code.CSM);
    await scripted.clock.advance(1000);
    assert.equal(scripted.next().code, Code.PING);
    // The last that is heard of it, some time into the answer's.
    await scripted.clock.advance(answered + 1);
    scripted.send(Code.PONG);
    await scripted.clock.advance(1499);
    assert.equal(scripted.session.peer.closed.aborted, false, `${answered} ms`);
    await scripted.clock.advance(2);
    assert.equal(scripted.session.peer.closed.aborted, true, `${answered} ms`);
  }
});

test('keep-alive: a Pong that is read only after the timer fired, as after a stall, still counts', async () => {
  const scripted = new Scripted({ keepAlive: { intervalMs: 1000, timeoutMs: 500 } });
  scripted.send(Code.CSM);
  await scripted.clock.advance(1000);
  assert.equal(scripted.next().code, Code.PING);
  scripted.clock.schedule(500, () => scripted.send(Code.PONG));
  await scripted.clock.advance(600);
  assert.equal(scripted.session.peer.closed.aborted, false);
  await scripted.clock.advance(2000);
  assert.equal(scripted.reason.code, 'coap/keep-alive');
});

test('closing fails the requests that wait for a CSM and the pings that wait for a Pong', async () => {
  const { session, clock } = new Scripted();
  const calls = [session.peer.request(get('/')), session.peer.ping()];
  const failed = calls.map((call) => assert.rejects(call, coapError('coap/closed')));
  await clock.advance(1);
  session.peer.close();
  await Promise.all(failed);
  assert.equal(clock.pending, 0);
});

test('a peer that does not read is given up', () => {
  const scripted = new Scripted({ limits: { maxSendBuffer: 1000 } });
  scripted.send(Code.CSM);
  scripted.queued = 1001;
  scripted.send(Code.PING);
  assert.equal(scripted.reason.code, 'coap/congested');
  assert.equal(scripted.ended, 'immediate');
});

test('limits: own requests are refused with coap/busy, those of the peer with 5.03', async () => {
  const scripted = new Scripted({
    handler: () => new Promise(() => {}),
    limits: { maxRequests: 2, maxIncoming: 2 },
  });
  scripted.send(Code.CSM);
  const { clock, session } = scripted;
  const waiting = [1, 2].map(() => assert.rejects(session.peer.request(get('/')), coapError('coap/timeout')));
  await assert.rejects(session.peer.request(get('/')), coapError('coap/busy'));
  await clock.advance(1);
  scripted.next();
  scripted.next();
  for (let i = 0; i < 3; i++) scripted.send(Code.GET, [], hex(''), Uint8Array.of(i));
  const refused = scripted.next();
  assert.equal(refused.code, Code.SERVICE_UNAVAILABLE);
  assert.deepEqual(refused.token, Uint8Array.of(2));
  await clock.advance(61_000);
  await Promise.all(waiting);
  assert.equal(scripted.next().code, Code.SERVICE_UNAVAILABLE, 'a handler that never answers');
});

test('a handler that throws is 5.00, one that found a bad option 4.02', async () => {
  const errors: unknown[] = [];
  const scripted = new Scripted({
    handler: ({ options }) => {
      if (options.length > 0) uintValue([{ number: 12, value: new Uint8Array(5) }], 12);
      throw new Error('a bug');
    },
    onHandlerError: (error) => errors.push(error),
  });
  scripted.send(Code.CSM);
  scripted.send(Code.GET);
  await scripted.clock.advance(1);
  const answer = scripted.next();
  assert.equal(answer.code, Code.INTERNAL_SERVER_ERROR);
  assert.equal(answer.payload.length, 0, 'the reason stays here');
  assert.equal(errors.length, 1);
  scripted.send(Code.GET, [uintOption(OptionNumber.MAX_AGE, 1)]);
  await scripted.clock.advance(1);
  assert.equal(scripted.next().code, Code.BAD_OPTION);
});
