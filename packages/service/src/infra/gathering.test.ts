// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gathering } from './gathering.ts';

function gathering(most?: number) {
  const runs: { readonly keys: readonly number[]; readonly result: PromiseWithResolvers<void> }[] = [];
  const asked = new Gathering<number, string>(async (keys) => {
    const result = Promise.withResolvers<void>();
    runs.push({ keys, result });
    await result.promise;
    return new Map(keys.filter((key) => key >= 0).map((key) => [key, `answer ${key}`]));
  }, most);
  const turn = () => new Promise((done) => setImmediate(() => setImmediate(done)));
  return { runs, asked, turn };
}

test('what is asked together is one statement, each key once; what comes while it runs waits for the next', async () => {
  const { runs, asked, turn } = gathering();
  const first = [asked.ask(1), asked.ask(2), asked.ask(1), asked.ask(-1)];
  await turn();
  // The same key as one that is being asked for: an answer of earlier is none.
  const late = asked.ask(1);
  await turn();
  assert.deepEqual(
    runs.map(({ keys }) => keys),
    [[1, 2, -1]],
  );
  runs[0]?.result.resolve();
  assert.deepEqual(await Promise.all(first), ['answer 1', 'answer 2', 'answer 1', undefined]);
  await turn();
  assert.deepEqual(runs[1]?.keys, [1]);
  runs[1]?.result.resolve();
  assert.equal(await late, 'answer 1');
});

test('a statement that fails fails those that were in it, and nobody after; no statement is larger than it may be', async () => {
  const { runs, asked, turn } = gathering(2);
  const all = [1, 2, 3].map((key) => asked.ask(key));
  await turn();
  runs[0]?.result.reject(new Error('away'));
  await assert.rejects(async () => await all[0], /away/);
  await assert.rejects(async () => await all[1], /away/);
  await turn();
  assert.deepEqual(
    runs.map(({ keys }) => keys),
    [[1, 2], [3]],
  );
  runs[1]?.result.resolve();
  assert.equal(await all[2], 'answer 3');
  const again = asked.ask(4);
  await turn();
  runs[2]?.result.resolve();
  assert.equal(await again, 'answer 4');
});
