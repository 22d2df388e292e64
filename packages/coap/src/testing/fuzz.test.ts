// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Code } from '../codes.ts';
import { CoapError } from '../errors.ts';
import type { CoapMessage } from '../message/message.ts';
import { encodeTcpFrame } from '../message/tcp-frame.ts';
import { encodeUdpMessage, type MessageType } from '../message/udp-message.ts';
import type { RequestHandler } from '../peer.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { SimulatedClock } from '../simulation/simulated-clock.ts';
import { csmMessage } from '../tcp/signals.ts';
import { TcpSession } from '../tcp/tcp-session.ts';
import { UdpEndpoint } from '../udp/udp-endpoint.ts';
import { content, get, pattern, put } from './support.ts';

/**
 * Sessions fed garbage and nearly right messages: they throw nothing, every call ends, and no timer stays.
 */

const handler: RequestHandler = (request, { acceptObserve }) => {
  const observer = acceptObserve?.();
  observer?.notify(content(pattern(3000)));
  return content(request.payload.length > 0 ? request.payload : pattern(2500));
};

const record = { noNullPrototype: true };

/** Numbers that mean something, with values that often do. */
const option = fc.record(
  {
    number: fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 14, 15, 17, 23, 27, 28, 35, 60, 65_001),
    value: fc.uint8Array({ maxLength: 5 }),
  },
  record,
);

/** `token` 0 to 3 stands for one of the session's own, so that responses find what waits for them. */
const message = fc.record(
  {
    code: fc.oneof(fc.constantFrom(...Object.values(Code)), fc.integer({ min: 0, max: 255 })),
    token: fc.uint8Array({ maxLength: 4 }),
    own: fc.boolean(),
    options: fc.array(option, { maxLength: 5 }),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(16, 64, 1024).map((size) => pattern(size)),
    ),
  },
  record,
);

type Fuzzed = CoapMessage & { own: boolean };

function withToken(fuzzed: Fuzzed, own: Uint8Array[]): CoapMessage {
  const { code, token, options, payload } = fuzzed;
  return { code, token: fuzzed.own ? (own.at(-1) ?? token) : token, options, payload };
}

/** Calls under way while the garbage comes: each must end, well or with a CoapError. */
function calls(peer: TcpSession['peer']): Promise<unknown> {
  const ends = [
    peer.request(get('/a')),
    peer.request(put('/b', pattern(5000))),
    peer.observe(get('/c'), () => {}),
    peer.ping(),
  ].map((call) =>
    call.catch((error: unknown) => {
      if (!(error instanceof CoapError)) throw error;
    }),
  );
  return Promise.all(ends);
}

test('a stream session survives any bytes', async () => {
  const chunk = fc.oneof(message, fc.uint8Array({ maxLength: 30 }));
  const property = fc.asyncProperty(fc.array(chunk, { maxLength: 30 }), fc.boolean(), async (chunks, csm) => {
    const clock = new SimulatedClock();
    const tokens: Uint8Array[] = [];
    let written = 0;
    const session = new TcpSession(
      {
        write: (bytes) => {
          const at = ((bytes[0] ?? 0) >> 4) - 12;
          const tokenAt = 2 + (at <= 0 ? 0 : at === 3 ? 4 : at);
          tokens.push(bytes.slice(tokenAt, tokenAt + ((bytes[0] ?? 0) & 15)));
          written += bytes.length;
          return 0;
        },
        end: () => {},
      },
      {
        handler,
        clock,
        random: new SeededRandom(1),
        onHandlerError: () => {},
        limits: { maxBodySize: 10_000 },
      },
    );
    session.start();
    const done = calls(session.peer);
    if (csm) session.receive(encodeTcpFrame(csmMessage(1152)));
    for (const given of chunks) {
      await clock.advance(10);
      session.receive(given instanceof Uint8Array ? given : encodeTcpFrame(withToken(given, tokens)));
    }
    await clock.until(done);
    assert.ok(written < 1_000_000);
    session.peer.close();
    session.ended();
    await clock.advance(1);
    assert.equal(clock.pending, 0);
  });
  await fc.assert(property, { numRuns: 600 });
});

test('a datagram endpoint survives any bytes', async () => {
  const datagram = fc.oneof(
    fc.tuple(message, fc.integer({ min: 0, max: 3 }), fc.boolean(), fc.nat(65_535)),
    fc.uint8Array({ maxLength: 30 }),
  );
  const remote = { address: '192.0.2.1', port: 1 };
  const property = fc.asyncProperty(fc.array(datagram, { maxLength: 30 }), async (datagrams) => {
    const clock = new SimulatedClock();
    const tokens: Uint8Array[] = [];
    let lastId = 0;
    const endpoint = new UdpEndpoint(
      {
        send: (bytes) => {
          lastId = ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
          if ((bytes[1] ?? 0) > 0) tokens.push(bytes.slice(4, 4 + ((bytes[0] ?? 0) & 15)));
        },
      },
      {
        handler,
        clock,
        random: new SeededRandom(1),
        onHandlerError: () => {},
        limits: { maxBodySize: 10_000 },
      },
    );
    const done = calls(endpoint.peer(remote));
    for (const given of datagrams) {
      await clock.advance(10);
      if (given instanceof Uint8Array) {
        endpoint.receive(given, remote);
        continue;
      }
      const [fuzzed, type, ownId, anyId] = given;
      const messageId = ownId ? lastId : anyId;
      const sent = { ...withToken(fuzzed, tokens), type: type as MessageType, messageId };
      endpoint.receive(encodeUdpMessage(sent), remote);
    }
    await clock.until(done);
    endpoint.close();
    await clock.advance(1);
    assert.equal(clock.pending, 0);
  });
  await fc.assert(property, { numRuns: 600 });
});

test('memory stays bounded under a flood of unfinished transfers, observers and requests', async () => {
  const clock = new SimulatedClock();
  const never: RequestHandler = (_request, { acceptObserve }) => {
    acceptObserve?.();
    return new Promise(() => {});
  };
  const session = new TcpSession(
    { write: () => 0, end: () => {} },
    { handler: never, clock, random: new SeededRandom(1) },
  );
  session.start();
  session.receive(encodeTcpFrame(csmMessage(1152)));
  const before = process.memoryUsage().arrayBuffers;
  const block = pattern(1024);
  for (let i = 0; i < 20_000; i++) {
    const name = new TextEncoder().encode(`${i}`);
    // First blocks of bodies that never end, and observations with ever new tokens.
    const options = [
      { number: 11, value: name },
      { number: 27, value: Uint8Array.of(0x0e) },
    ];
    session.receive(encodeTcpFrame({ code: Code.PUT, token: name, options, payload: block }));
    const observe = [{ number: 6, value: new Uint8Array(0) }];
    session.receive(
      encodeTcpFrame({ code: Code.GET, token: name, options: observe, payload: new Uint8Array(0) }),
    );
  }
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.equal(session.peer.closed.aborted, false);
  // One timer a running request, one for the transfers.
  assert.ok(clock.pending <= 66, `${clock.pending} timers`);
  assert.ok(grown < 64 * 1024 * 1024, `${grown} bytes`);
  session.peer.close();
});
