// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '../codes.ts';
import type { Observer } from '../peer.ts';
import { simulatedPair } from '../testing/simulated-pair.ts';
import { content, get, pattern, put, text } from '../testing/support.ts';

/** Everything UDP does to datagrams, at once and often. */
const bad = { loss: 0.2, duplication: 0.2, minDelayMs: 5, maxDelayMs: 800 };
const seeds = Array.from({ length: 20 }, (_, i) => i + 1);
/** More tries than the default, so that a transfer of hundreds of messages does not fail by chance. */
const patient = { transmission: { maxRetransmit: 9 } };

test('bodies arrive whole and once in spite of loss, duplication and reordering', async () => {
  for (const seed of seeds) {
    const received: Uint8Array[] = [];
    const { clock, peer } = simulatedPair(
      {
        ...patient,
        handler: (request) => {
          if (request.code === Code.PUT) received.push(request.payload);
          return content(request.payload.toReversed());
        },
      },
      patient,
      bad,
      seed,
    );
    const body = pattern(20_000);
    const response = await clock.until(peer.request(put('/x', body)), 86_400_000);
    assert.equal(received.length, 1, `seed ${seed}`);
    assert.deepEqual(Buffer.from(received[0] ?? []), Buffer.from(body), `seed ${seed}`);
    assert.deepEqual(Buffer.from(response.payload), Buffer.from(body.toReversed()), `seed ${seed}`);
  }
});

test('every request acts at most once, whichever of them is answered', async () => {
  for (const seed of seeds) {
    const handled = new Map<string, number>();
    const { clock, peer } = simulatedPair(
      {
        handler: async (request, { peer: client }) => {
          const name = text(request.payload);
          handled.set(name, (handled.get(name) ?? 0) + 1);
          // Sometimes the answer is slow and comes separately.
          if (name.endsWith('3')) await client.ping().catch(() => {});
          return content(name);
        },
      },
      { transmission: { nstart: 4 } },
      { ...bad, loss: 0.4 },
      seed,
    );
    const names = Array.from({ length: 20 }, (_, i) => `request ${i}`);
    const answers = await clock.until(
      Promise.allSettled(names.map((name) => peer.request(put('/x', new TextEncoder().encode(name))))),
      86_400_000,
    );
    for (const [i, answer] of answers.entries()) {
      if (answer.status === 'fulfilled') assert.equal(text(answer.value.payload), names[i], `seed ${seed}`);
    }
    assert.ok(answers.some(({ status }) => status === 'fulfilled'));
    for (const [name, times] of handled) assert.equal(times, 1, `${name}, seed ${seed}`);
  }
});

test('an observer ends up with the last state, and never sees an older one after a newer', async () => {
  for (const seed of seeds) {
    let observer: Observer | undefined;
    let state = 0;
    const { clock, peer, network } = simulatedPair(
      {
        ...patient,
        handler: (_request, { acceptObserve }) => {
          observer = acceptObserve?.() ?? observer;
          return content(`${state}`.padEnd(2500, '.'));
        },
      },
      patient,
      bad,
      seed,
    );
    const seen: number[] = [];
    const read = (payload: Uint8Array): number => Number.parseInt(text(payload), 10);
    const start = peer.observe(get('/t'), ({ payload }) => seen.push(read(payload)));
    const { first } = await clock.until(start, 86_400_000);
    seen.push(read(first.payload));
    for (; state < 30; ) {
      state += 1;
      observer?.notify(content(`${state}`.padEnd(2500, '.')));
      await clock.advance(1000);
    }
    await clock.advance(600_000);
    assert.equal(seen.at(-1), 30, `seed ${seed}`);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
      `seed ${seed}`,
    );
    assert.ok(network.trace.some(({ lost }) => lost));
  }
});

test('the same seed gives the same run', async () => {
  const once = async (): Promise<string[]> => {
    const { clock, peer, log } = simulatedPair({ handler: () => content(pattern(5000)) }, {}, bad, 42);
    await clock.until(peer.request(get('/x')), 86_400_000).catch(() => {});
    return log();
  };
  assert.deepEqual(await once(), await once());
});
