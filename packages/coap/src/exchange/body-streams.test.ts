// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '../codes.ts';
import { BERT, type Block, blockOption, blockValue } from '../message/block.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { uintValue } from '../message/option-values.ts';
import type { BodyOpener, BodySink, CoapPeer, CoapResponse } from '../peer.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { SimulatedClock } from '../simulation/simulated-clock.ts';
import { SimulatedStream } from '../simulation/simulated-stream.ts';
import { simulatedPair } from '../testing/simulated-pair.ts';
import { content, get, pattern, put, utf8 } from '../testing/support.ts';

/** A sink that keeps what it is told; its first `write` may be held up, or be answered. */
class KeptSink implements BodySink {
  readonly pieces: Uint8Array[] = [];
  aborted: Error | undefined;
  held: Promise<unknown> | undefined;
  refusal: CoapResponse | undefined;
  ended = false;

  async write(bytes: Uint8Array): Promise<CoapResponse | undefined> {
    await this.held;
    this.pieces.push(bytes.slice());
    return this.refusal;
  }

  async end(): Promise<CoapResponse> {
    this.ended = true;
    return await Promise.resolve({ code: Code.CHANGED, options: [], payload: utf8('') });
  }

  abort(reason: Error): void {
    this.aborted = reason;
  }

  get body(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

const limits = { maxBodySize: 4096, maxUploadBytes: 4096 };

/** A peer over a stream whose other end opens a new sink for each body, or what `open` gives. */
function streaming(open: (sink: KeptSink) => ReturnType<BodyOpener> = (sink) => sink) {
  const clock = new SimulatedClock();
  const sinks: KeptSink[] = [];
  const sizes: (number | undefined)[] = [];
  const openBody: BodyOpener = (first) => {
    sizes.push(uintValue(first.options, OptionNumber.SIZE1));
    const sink = new KeptSink();
    sinks.push(sink);
    return open(sink);
  };
  const server = { limits, openBody, handler: () => content('whole'), maxMessageSize: 4096 };
  const stream = new SimulatedStream(
    clock,
    new SeededRandom(1),
    { limits: { maxBodySize: 1 << 24 } },
    server,
  );
  stream.start();
  const { peer } = stream.client;
  const block = (number: number, more: boolean, sizeExponent = 6) =>
    blockOption(OptionNumber.BLOCK1, { number, more, sizeExponent });
  const put1 = async (at: number, more: boolean, bytes: Uint8Array, exponent = 6) =>
    await clock.until(peer.request(put('/p', bytes, [block(at, more, exponent)])));
  return { clock, stream, peer, sinks, sizes, put1, block };
}

test('a body over every limit of memory goes to its sink block by block, in BERT blocks', async () => {
  const { clock, peer, sinks, sizes } = streaming();
  const body = pattern(300_000);
  const response = await clock.until(peer.request(put('/p', body)));
  assert.equal(response.code, Code.CHANGED);
  const [sink] = sinks;
  assert.deepEqual([sinks.length, sizes[0], sink?.ended, sink?.aborted], [1, 300_000, true, undefined]);
  assert.ok(sink?.body.equals(Buffer.from(body)));
  assert.ok(Math.max(...(sink?.pieces.map(({ length }) => length) ?? [])) <= 4096);
  // What is no transfer goes on as before.
  assert.equal((await clock.until(peer.request(get('/p')))).code, Code.CONTENT);
});

test('over UDP it is streamed too, over lost and repeated messages', async () => {
  const sinks: KeptSink[] = [];
  const openBody: BodyOpener = () => {
    const sink = new KeptSink();
    sinks.push(sink);
    return sink;
  };
  const faults = { loss: 0.2, duplication: 0.2 };
  const { clock, peer } = simulatedPair(
    { limits, openBody },
    { limits: { maxBodySize: 1 << 20 } },
    faults,
    7,
  );
  const body = pattern(20_000);
  assert.equal((await clock.until(peer.request(put('/p', body)))).code, Code.CHANGED);
  assert.equal(sinks.length, 1);
  assert.ok(sinks[0]?.body.equals(Buffer.from(body)));
});

test('a block that does not continue what came is refused, and the transfer goes on where it was', async () => {
  const { put1, sinks } = streaming();
  const kilobyte = pattern(1024);
  assert.equal((await put1(3, true, kilobyte)).code, Code.REQUEST_ENTITY_INCOMPLETE, 'none began');
  const first = await put1(0, true, kilobyte);
  assert.equal(first.code, Code.CONTINUE);
  assert.deepEqual(blockValue(first.options, OptionNumber.BLOCK1), {
    number: 0,
    more: true,
    sizeExponent: 6,
  });
  assert.equal((await put1(2, true, kilobyte)).code, Code.REQUEST_ENTITY_INCOMPLETE, 'one is left out');
  assert.equal((await put1(1, true, pattern(100))).code, Code.BAD_REQUEST, 'RFC 7959 §2.2');
  assert.equal((await put1(1, true, pattern(1025), BERT)).code, Code.BAD_REQUEST, 'RFC 8323 §6');
  assert.equal((await put1(1, true, kilobyte)).code, Code.CONTINUE);
  assert.equal((await put1(1, true, kilobyte)).code, Code.REQUEST_ENTITY_INCOMPLETE, 'it came before');
  const last = await put1(2, false, pattern(10));
  const echo: Block = { number: 2, more: false, sizeExponent: 6 };
  assert.deepEqual([last.code, blockValue(last.options, OptionNumber.BLOCK1)], [Code.CHANGED, echo]);
  assert.equal(sinks[0]?.body.length, 2058);
});

test('RFC 7959 §2.5: a first block begins anew, and what came before is given up', async () => {
  const { put1, sinks } = streaming();
  const kilobyte = pattern(1024);
  await put1(0, true, kilobyte);
  await put1(0, true, kilobyte);
  await put1(1, false, kilobyte);
  assert.match(String(sinks[0]?.aborted?.message), /begun anew/);
  assert.deepEqual([sinks[0]?.ended, sinks[1]?.ended, sinks[1]?.aborted], [false, true, undefined]);
  assert.equal(sinks[1]?.body.length, 2048);
  // A body in one block ends what was under way, and is the handler's.
  await put1(0, true, kilobyte);
  assert.equal((await put1(0, false, pattern(1))).code, Code.CONTENT);
  assert.ok(sinks[2]?.aborted);
});

test('a block that comes before the last one is written is refused: no more than one is held', async () => {
  const held = Promise.withResolvers<void>();
  const { clock, peer, put1, sinks, block } = streaming((sink) => {
    sink.held = held.promise;
    return sink;
  });
  const kilobyte = pattern(1024);
  const first = peer.request(put('/p', kilobyte, [block(0, true)]));
  const second = await put1(1, true, kilobyte);
  assert.equal(second.code, Code.REQUEST_ENTITY_INCOMPLETE);
  held.resolve();
  assert.equal((await clock.until(first)).code, Code.CONTINUE);
  assert.equal((await put1(1, false, kilobyte)).code, Code.CHANGED);
  assert.equal(sinks[0]?.body.length, 2048);
});

test('a sink refuses at once, or in the middle, and hears no more', async () => {
  const refusal = { code: Code.REQUEST_ENTITY_TOO_LARGE, options: [], payload: utf8('') };
  const kilobyte = pattern(1024);
  const never = streaming(() => refusal);
  assert.equal((await never.put1(0, true, kilobyte)).code, Code.REQUEST_ENTITY_TOO_LARGE);
  assert.equal((await never.put1(1, true, kilobyte)).code, Code.REQUEST_ENTITY_INCOMPLETE);
  const later = streaming();
  await later.put1(0, true, kilobyte);
  const [sink] = later.sinks;
  assert.ok(sink);
  sink.refusal = refusal;
  assert.equal((await later.put1(1, true, kilobyte)).code, Code.REQUEST_ENTITY_TOO_LARGE);
  assert.equal((await later.put1(2, true, kilobyte)).code, Code.REQUEST_ENTITY_INCOMPLETE);
  assert.deepEqual([sink.aborted, sink.ended], [undefined, false]);
});

test('a peer that goes away, or sends nothing more, gives up what it began', async () => {
  const begin = async (): Promise<ReturnType<typeof streaming> & { sink: KeptSink }> => {
    const world = streaming();
    await world.put1(0, true, pattern(1024));
    const [sink] = world.sinks;
    assert.ok(sink !== undefined && sink.aborted === undefined);
    return { ...world, sink };
  };
  const gone = await begin();
  gone.stream.server.ended();
  assert.match(String(gone.sink.aborted?.message), /closed the connection/);
  const silent = await begin();
  await silent.clock.advance(300_000);
  assert.match(String(silent.sink.aborted?.message), /next block did not come/);
  assert.equal((await silent.put1(1, false, pattern(1))).code, Code.REQUEST_ENTITY_INCOMPLETE);
});

test('a sink that fails is given up, and its peer is told no more than that', async () => {
  const errors: unknown[] = [];
  const clock = new SimulatedClock();
  let aborted: Error | undefined;
  const openBody: BodyOpener = () => ({
    write: () => Promise.reject(new Error('the disk broke')),
    end: () => Promise.reject(new Error('never')),
    abort: (reason) => (aborted = reason),
  });
  const server = { openBody, onHandlerError: (error: unknown) => void errors.push(error) };
  const stream = new SimulatedStream(clock, new SeededRandom(1), {}, server);
  stream.start();
  const peer: CoapPeer = stream.client.peer;
  const first = blockOption(OptionNumber.BLOCK1, { number: 0, more: true, sizeExponent: 6 });
  const response = await clock.until(peer.request(put('/p', pattern(1024), [first])));
  assert.deepEqual([response.code, response.payload.length], [Code.INTERNAL_SERVER_ERROR, 0]);
  assert.equal(errors.length, 1);
  assert.match(String(aborted?.message), /the disk broke/);
});
