// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '../codes.ts';
import { blockOption, blockValue } from '../message/block.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { etagOption, uintValue } from '../message/option-values.ts';
import type { Observer, RequestHandler } from '../peer.ts';
import { scriptedServer, simulatedPair } from '../testing/simulated-pair.ts';
import { UploadBudget } from './upload-budget.ts';
import { coapError, content, get, pattern, put, utf8 } from '../testing/support.ts';

/** The message flows of RFC 7959 §3, and what they leave out. */

const block2 = (sizeExponent: number, number = 0): ReturnType<typeof blockOption> =>
  blockOption(OptionNumber.BLOCK2, { number, more: false, sizeExponent });

const changed: RequestHandler = () => ({ code: Code.CHANGED, options: [], payload: utf8('') });

test('figure 2: a simple blockwise GET', async () => {
  const body = pattern(300);
  const { clock, peer, log } = simulatedPair({ handler: () => content(body), blockSize: 128 });
  const response = await clock.until(peer.request(get('/status')));
  assert.deepEqual(Buffer.from(response.payload), Buffer.from(body));
  assert.equal(blockValue(response.options, OptionNumber.BLOCK2), undefined);
  assert.equal(uintValue(response.options, OptionNumber.SIZE2), 300);
  assert.deepEqual(log(), [
    '> CON [1] 0.01 /status',
    '< ACK [1] 2.05 2:0/1/128',
    '> CON [2] 0.01 /status 2:1/0/128',
    '< ACK [2] 2.05 2:1/1/128',
    '> CON [3] 0.01 /status 2:2/0/128',
    '< ACK [3] 2.05 2:2/0/128',
  ]);
});

test('figure 3: a blockwise GET with early negotiation', async () => {
  const { clock, peer, log } = simulatedPair({ handler: () => content(pattern(350)) });
  const response = await clock.until(peer.request(get('/status', [block2(2)])));
  assert.deepEqual(Buffer.from(response.payload), Buffer.from(pattern(350)));
  const lines = log();
  assert.equal(lines[0], '> CON [1] 0.01 /status 2:0/0/64');
  assert.equal(lines[1], '< ACK [1] 2.05 2:0/1/64');
  assert.deepEqual(lines.slice(-2), ['> CON [6] 0.01 /status 2:5/0/64', '< ACK [6] 2.05 2:5/0/64']);
});

test('figure 4: a blockwise GET with late negotiation', async () => {
  const { clock, peer, log } = simulatedPair(
    { handler: () => content(pattern(350)), blockSize: 128 },
    { blockSize: 64 },
  );
  assert.equal((await clock.until(peer.request(get('/status')))).payload.length, 350);
  assert.deepEqual(log().slice(0, 6), [
    '> CON [1] 0.01 /status',
    '< ACK [1] 2.05 2:0/1/128',
    '> CON [2] 0.01 /status 2:2/0/64',
    '< ACK [2] 2.05 2:2/1/64',
    '> CON [3] 0.01 /status 2:3/0/64',
    '< ACK [3] 2.05 2:3/1/64',
  ]);
});

test('figures 5 and 6: late negotiation with a lost request and a lost Acknowledgement', async () => {
  for (const lost of [3, 4]) {
    const { clock, peer, network, log } = simulatedPair(
      { handler: () => content(pattern(350)), blockSize: 128 },
      { blockSize: 64 },
    );
    network.drops = () => network.trace.length === lost;
    assert.deepEqual(
      Buffer.from((await clock.until(peer.request(get('/status')))).payload),
      Buffer.from(pattern(350)),
    );
    const again = log().filter((line) => line.startsWith('> CON [2] 0.01 /status 2:2/0/64'));
    assert.equal(again.length, 2);
  }
});

test('figure 7: a simple atomic blockwise PUT', async () => {
  let received: Uint8Array | undefined;
  const { clock, peer, log } = simulatedPair(
    {
      handler: (request, context) => {
        received = request.payload;
        return changed(request, context);
      },
    },
    { blockSize: 128 },
  );
  assert.equal((await clock.until(peer.request(put('/options', pattern(300))))).code, Code.CHANGED);
  assert.deepEqual(Buffer.from(received ?? []), Buffer.from(pattern(300)));
  assert.deepEqual(log(), [
    '> CON [1] 0.03 /options 1:0/1/128',
    '< ACK [1] 2.31 1:0/1/128',
    '> CON [2] 0.03 /options 1:1/1/128',
    '< ACK [2] 2.31 1:1/1/128',
    '> CON [3] 0.03 /options 1:2/0/128',
    '< ACK [3] 2.04 1:2/0/128',
  ]);
});

test('figure 9: an atomic blockwise PUT whose server asks for smaller blocks', async () => {
  const { clock, peer, log } = simulatedPair({ handler: changed, blockSize: 32 }, { blockSize: 128 });
  assert.equal((await clock.until(peer.request(put('/options', pattern(220))))).code, Code.CHANGED);
  assert.deepEqual(log(), [
    '> CON [1] 0.03 /options 1:0/1/128',
    '< ACK [1] 2.31 1:0/1/32',
    '> CON [2] 0.03 /options 1:4/1/32',
    '< ACK [2] 2.31 1:4/1/32',
    '> CON [3] 0.03 /options 1:5/1/32',
    '< ACK [3] 2.31 1:5/1/32',
    '> CON [4] 0.03 /options 1:6/0/32',
    '< ACK [4] 2.04 1:6/0/32',
  ]);
});

test('figure 10: blocks of an observed resource', async () => {
  let observer: Observer | undefined;
  let body = pattern(300);
  const { clock, peer, log } = simulatedPair({
    handler: (_request, { acceptObserve }) => {
      observer = acceptObserve?.() ?? observer;
      return content(body);
    },
    blockSize: 128,
  });
  const seen: Uint8Array[] = [];
  const observation = await clock.until(peer.observe(get('/status'), ({ payload }) => seen.push(payload)));
  assert.deepEqual(Buffer.from(observation.first.payload), Buffer.from(body));
  body = pattern(200).toReversed();
  observer?.notify(content(body));
  await clock.advance(1000);
  assert.deepEqual(
    seen.map((payload) => Buffer.from(payload)),
    [Buffer.from(body)],
  );
  assert.deepEqual(log(), [
    '> CON [1] 0.01 /status obs:0',
    '< ACK [1] 2.05 2:0/1/128 obs:1',
    '> CON [2] 0.01 /status 2:1/0/128',
    '< ACK [2] 2.05 2:1/1/128',
    '> CON [3] 0.01 /status 2:2/0/128',
    '< ACK [3] 2.05 2:2/0/128',
    '< CON [4] 2.05 2:0/1/128 obs:2',
    '> CON [5] 0.01 /status 2:1/0/128',
    '> ACK [4]',
    '< ACK [5] 2.05 2:1/0/128',
  ]);
});

test('figure 11: blocks of a request, then of its response', async () => {
  let handled = 0;
  const { clock, peer, log } = simulatedPair(
    {
      handler: (request) => {
        handled += 1;
        return { ...content(request.payload.toReversed()), code: Code.CHANGED };
      },
      blockSize: 128,
    },
    { blockSize: 128 },
  );
  const request = { ...put('/soap', pattern(300)), code: Code.POST };
  const response = await clock.until(peer.request(request));
  assert.deepEqual(Buffer.from(response.payload), Buffer.from(pattern(300).toReversed()));
  assert.equal(handled, 1);
  assert.deepEqual(log().slice(4), [
    '> CON [3] 0.02 /soap 1:2/0/128',
    '< ACK [3] 2.04 1:2/0/128 2:0/1/128',
    '> CON [4] 0.02 /soap 2:1/0/128',
    '< ACK [4] 2.04 2:1/1/128',
    '> CON [5] 0.02 /soap 2:2/0/128',
    '< ACK [5] 2.04 2:2/0/128',
  ]);
});

test('FETCH: two bodies on one path do not mix', async () => {
  const handler: RequestHandler = (request) => content(new Uint8Array(3000).fill(request.payload[0] ?? 0));
  const { clock, peer } = simulatedPair({ handler }, { transmission: { nstart: 4 } });
  const fetch = (byte: number): Promise<Uint8Array> =>
    peer.request({ ...put('/f', Uint8Array.of(byte)), code: Code.FETCH }).then(({ payload }) => payload);
  const [a, b] = await clock.until(Promise.all([fetch(1), fetch(2)]));
  assert.deepEqual(a, new Uint8Array(3000).fill(1));
  assert.deepEqual(b, new Uint8Array(3000).fill(2));
});

test('a body over the limit: 4.13 with Size1, and the client refuses a response over its own', async () => {
  const { clock, peer } = simulatedPair({ handler: changed, limits: { maxBodySize: 2000 } });
  const response = await clock.until(peer.request(put('/x', pattern(5000))));
  assert.equal(response.code, Code.REQUEST_ENTITY_TOO_LARGE);
  assert.equal(uintValue(response.options, OptionNumber.SIZE1), 2000);
  const small = simulatedPair({ handler: () => content(pattern(5000)) }, { limits: { maxBodySize: 2000 } });
  await assert.rejects(small.clock.until(small.peer.request(get('/'))), coapError('coap/body-too-large'));
});

test('a body that changes between two blocks is fetched anew, and given up when it never stops', async () => {
  let version = 0;
  let stable = false;
  const { clock, peer } = simulatedPair({
    // Each block asks the handler: only the entity tag tells the versions apart.
    limits: { maxTransfers: 0 },
    handler: () => {
      if (!stable) version += 1;
      return content(new Uint8Array(2000).fill(version), [etagOption(Uint8Array.of(version))]);
    },
  });
  await assert.rejects(clock.until(peer.request(get('/'))), coapError('coap/body-changed'));
  stable = true;
  assert.deepEqual((await clock.until(peer.request(get('/')))).payload, new Uint8Array(2000).fill(version));
});

test('blocks that do not continue the body are refused with 4.08 and 4.00', async () => {
  const { clock, peer } = simulatedPair({ handler: changed });
  const send = async (number: number, more: boolean, size: number, sizeExponent = 2): Promise<number> => {
    const option = blockOption(OptionNumber.BLOCK1, { number, more, sizeExponent });
    return (await clock.until(peer.request(put('/x', pattern(size), [option])))).code;
  };
  assert.equal(await send(1, true, 64), Code.REQUEST_ENTITY_INCOMPLETE);
  assert.equal(await send(0, true, 64), Code.CONTINUE);
  assert.equal(await send(2, true, 64), Code.REQUEST_ENTITY_INCOMPLETE);
  assert.equal(await send(1, true, 63), Code.BAD_REQUEST);
  assert.equal(await send(1, true, 64), Code.CONTINUE);
  assert.equal(await send(2, false, 10), Code.CHANGED);
  assert.equal(await send(3, false, 10), Code.REQUEST_ENTITY_INCOMPLETE);
  assert.equal(await send(0, false, 65), Code.BAD_REQUEST);
  assert.equal(await send(0, true, 1024, 7), Code.BAD_REQUEST, 'BERT is for reliable transports');
  assert.equal(await send(0, true, 64), Code.CONTINUE);
  await clock.advance(248_000);
  assert.equal(await send(1, false, 10), Code.REQUEST_ENTITY_INCOMPLETE, 'the transfer has expired');
});

test('unfinished uploads are bounded in bytes: the oldest gives way, one too large is refused', async () => {
  const { clock, peer } = simulatedPair({ handler: changed, limits: { maxUploadBytes: 3072 } });
  const send = async (path: string, number: number, more = true): Promise<number> => {
    const option = blockOption(OptionNumber.BLOCK1, { number, more, sizeExponent: 6 });
    return (await clock.until(peer.request(put(path, pattern(1024), [option])))).code;
  };
  for (const path of ['/a', '/b', '/c', '/d']) assert.equal(await send(path, 0), Code.CONTINUE);
  assert.equal(await send('/a', 1), Code.REQUEST_ENTITY_INCOMPLETE, 'it gave way to the fourth');
  assert.equal(await send('/b', 1, false), Code.CHANGED);
  assert.equal(await send('/d', 1), Code.CONTINUE);
  assert.equal(await send('/d', 2), Code.CONTINUE);
  assert.equal(
    await send('/c', 1),
    Code.REQUEST_ENTITY_INCOMPLETE,
    'it gave way to the third block of another',
  );
  const option = blockOption(OptionNumber.BLOCK1, { number: 3, more: true, sizeExponent: 6 });
  const refused = await clock.until(peer.request(put('/d', pattern(1024), [option])));
  assert.equal(refused.code, Code.REQUEST_ENTITY_TOO_LARGE);
  assert.equal(uintValue(refused.options, OptionNumber.SIZE1), 3072);
});

test('peers that share a budget hold no more than it together, and give back what ends', async () => {
  const uploads = new UploadBudget(4096);
  const limits = { maxUploadBytes: 2048 };
  const pairs = [1, 2, 3].map((seed) => simulatedPair({ handler: changed, limits, uploads }, {}, {}, seed));
  const send = async (index: number, path: string, number: number, more = true): Promise<number> => {
    const { clock, peer } = pairs[index] ?? assert.fail();
    const option = blockOption(OptionNumber.BLOCK1, { number, more, sizeExponent: 6 });
    return (await clock.until(peer.request(put(path, pattern(1024), [option])))).code;
  };
  for (const index of [0, 1, 2]) {
    for (const path of ['/a', '/b']) assert.equal(await send(index, path, 0), Code.CONTINUE);
  }
  assert.equal(uploads.bytes, 4096);
  assert.equal(await send(0, '/a', 1), Code.REQUEST_ENTITY_INCOMPLETE, "it gave way to another's");
  assert.equal(await send(1, '/a', 1, false), Code.CHANGED);
  assert.equal(uploads.bytes, 3072);
  pairs[1]?.server.close();
  assert.equal(uploads.bytes, 2048);
  await pairs[2]?.clock.advance(248_000);
  assert.equal(uploads.bytes, 0);
});

test('a later block is answered after the last: GET asks the handler again, POST does not', async () => {
  let handled = 0;
  const { clock, peer } = simulatedPair({
    handler: () => {
      handled += 1;
      return content(pattern(3000));
    },
  });
  const second = await clock.until(peer.request(get('/x', [block2(6, 1)])));
  assert.deepEqual(Buffer.from(second.payload), Buffer.from(pattern(3000).subarray(1024, 2048)));
  assert.equal(handled, 1);
  const posted = { ...get('/x', [block2(6, 1)]), code: Code.POST };
  assert.equal((await clock.until(peer.request(posted))).code, Code.REQUEST_ENTITY_INCOMPLETE);
  assert.equal(handled, 1);
  const beyond = await clock.until(peer.request(get('/x', [block2(6, 9)])));
  assert.equal(beyond.code, Code.BAD_REQUEST);
});

test('figure 8: a server that answers every block by itself', async () => {
  const { clock, peer, network, log } = simulatedPair({}, { blockSize: 128 });
  scriptedServer(network, (request) => {
    const block = blockValue(request.options, OptionNumber.BLOCK1) ?? assert.fail('no Block1');
    const options = [blockOption(OptionNumber.BLOCK1, { ...block, more: false })];
    return { code: Code.CHANGED, options, payload: utf8('') };
  });
  assert.equal((await clock.until(peer.request(put('/options', pattern(300))))).code, Code.CHANGED);
  assert.deepEqual(log().slice(2), [
    '> CON [2] 0.03 /options 1:1/1/128',
    '< ACK [2] 2.04 1:1/0/128',
    '> CON [3] 0.03 /options 1:2/0/128',
    '< ACK [3] 2.04 1:2/0/128',
  ]);
});

test('a 4.13 with a smaller block starts the body anew in that size', async () => {
  const { clock, peer, network, log } = simulatedPair({}, { blockSize: 128 });
  scriptedServer(network, (request) => {
    const block = blockValue(request.options, OptionNumber.BLOCK1) ?? assert.fail('no Block1');
    if (block.sizeExponent > 2) {
      const options = [blockOption(OptionNumber.BLOCK1, { number: 0, more: true, sizeExponent: 2 })];
      return { code: Code.REQUEST_ENTITY_TOO_LARGE, options, payload: utf8('') };
    }
    const code = block.more ? Code.CONTINUE : Code.CHANGED;
    return { code, options: [blockOption(OptionNumber.BLOCK1, block)], payload: utf8('') };
  });
  assert.equal((await clock.until(peer.request(put('/options', pattern(130))))).code, Code.CHANGED);
  assert.deepEqual(
    log().filter((line) => line.startsWith('>')),
    [
      '> CON [1] 0.03 /options 1:0/1/128',
      '> CON [2] 0.03 /options 1:0/1/64',
      '> CON [3] 0.03 /options 1:1/1/64',
      '> CON [4] 0.03 /options 1:2/0/64',
    ],
  );
});

test('a server that sends or takes the wrong block is found out', async () => {
  const { clock, peer, network } = simulatedPair({});
  const answerWith = (option: ReturnType<typeof blockOption>, size: number): void =>
    scriptedServer(network, () => ({ code: Code.CONTENT, options: [option], payload: pattern(size) }));
  const { BLOCK1, BLOCK2 } = OptionNumber;
  answerWith(blockOption(BLOCK1, { number: 5, more: true, sizeExponent: 6 }), 0);
  await assert.rejects(clock.until(peer.request(put('/x', pattern(3000)))), coapError('coap/bad-block'));
  // A block of a wrong length; always the same block; a first block that is not the first.
  for (const [number, size] of [
    [0, 63],
    [0, 64],
    [1, 64],
  ] as const) {
    answerWith(blockOption(BLOCK2, { number, more: true, sizeExponent: 2 }), size);
    await assert.rejects(clock.until(peer.request(get('/x'))), coapError('coap/bad-block'));
  }
});
