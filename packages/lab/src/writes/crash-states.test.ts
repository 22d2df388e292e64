// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type CrashStateOptions, type CrashStates, enumerateCrashStates } from './crash-states.ts';
import { encodeRecord, type LogRecord, logMagic } from './log-format.ts';
import { readWriteLog } from './write-log.ts';

let work = '';
before(async () => (work = await mkdtemp(join(tmpdir(), 'lab-crash-'))));
after(async () => await rm(work, { recursive: true, force: true }));

const sectors = 6;
const sectorSize = 512;

/** What a guest does: issues a request, or has the n-th of those under way completed. */
type Action =
  | {
      readonly kind: 'issue';
      readonly operation: LogRecord['operation'];
      readonly forced: boolean;
      readonly at: number;
      readonly count: number;
      readonly fill: number;
    }
  | { readonly kind: 'complete'; readonly which: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('issue' as const),
      operation: fc.constantFrom(
        'write' as const,
        'write' as const,
        'write' as const,
        'zero' as const,
        'discard' as const,
        'flush' as const,
        'flush' as const,
      ),
      forced: fc.integer({ min: 0, max: 7 }).map((number) => number === 0),
      at: fc.nat(sectors - 1),
      count: fc.integer({ min: 1, max: 3 }),
      // Few values, so that different writes leave the same bytes; 0 is what a cleared sector holds.
      fill: fc.nat(3),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('complete' as const), which: fc.nat(3) }) },
);

interface Request {
  readonly flush: boolean;
  readonly forced: boolean;
  readonly at: number;
  readonly count: number;
  readonly fill: number;
  readonly issued: number;
  completed: number;
}

interface Run {
  readonly requests: Request[];
  readonly records: number;
}

/** Writes the log of a run as the recorder does, and its start. */
async function record(
  actions: readonly Action[],
  start: readonly number[],
  name: string,
): Promise<Run & { log: string; start: string }> {
  const requests: Request[] = [];
  const heads: LogRecord[] = [];
  const parts: Buffer[] = [logMagic];
  let underWay: number[] = [];
  let records = 0;
  for (const one of actions) {
    if (one.kind === 'issue') {
      const flush = one.operation === 'flush';
      const count = Math.min(one.count, sectors - one.at);
      const head: LogRecord = {
        event: 'issued',
        medium: 'disk',
        operation: one.operation,
        forced: one.forced,
        request: requests.length,
        time: BigInt(records),
        offset: flush ? 0 : one.at * sectorSize,
        length: flush ? 0 : count * sectorSize,
      };
      const data = one.operation === 'write' ? Buffer.alloc(head.length, one.fill) : Buffer.alloc(0);
      parts.push(encodeRecord(head, data), data);
      heads.push(head);
      underWay.push(requests.length);
      requests.push({
        flush,
        forced: one.forced,
        at: one.at,
        count,
        fill: one.operation === 'write' ? one.fill : 0,
        issued: records,
        completed: Infinity,
      });
    } else {
      const number = underWay[one.which % underWay.length];
      const head = heads[number ?? -1];
      const request = requests[number ?? -1];
      if (number === undefined || head === undefined || request === undefined) continue;
      underWay = underWay.filter((other) => other !== number);
      parts.push(encodeRecord({ ...head, event: 'completed', time: BigInt(records) }));
      request.completed = records;
    }
    records += 1;
  }
  const log = join(work, `${name}.log`);
  const startFile = join(work, `${name}.start`);
  await writeFile(log, Buffer.concat(parts));
  await writeFile(startFile, Buffer.concat(start.map((fill) => Buffer.alloc(sectorSize, fill))));
  return { requests, records, log, start: startFile };
}

/**
 * The crash model said once more, as directly as can be: for each moment of the cut and each choice among what is not durable, what every
 * sector holds. Gives each content with the last moment at which it may be there.
 */
function bruteForce(
  { requests, records }: Run,
  start: readonly number[],
  torn: boolean,
): Map<string, number> {
  const found = new Map<string, number>();
  for (let cut = 0; cut <= records; cut++) {
    const issued = requests.filter((request) => request.issued < cut && !request.flush);
    const flushes = requests.filter((request) => request.flush && request.completed < cut);
    const durable = (request: Request): boolean =>
      (request.forced && request.completed < cut) ||
      flushes.some((flush) => request.completed < flush.issued);
    const loose = issued.filter((request) => !durable(request));
    const units = loose.flatMap((request) =>
      torn
        ? Array.from({ length: request.count }, (_, index) => ({ request, index }))
        : [{ request, index: -1 }],
    );
    for (let bits = 0; bits < 2 ** units.length; bits++) {
      const content = [...start];
      for (const request of issued) {
        for (let index = 0; index < request.count; index++) {
          const unit = units.findIndex(
            (one) => one.request === request && (one.index === -1 || one.index === index),
          );
          if (unit === -1 || (bits >> unit) & 1) content[request.at + index] = request.fill;
        }
      }
      found.set(content.join(''), cut);
    }
  }
  return found;
}

async function enumerated(log: string, start: string, options: CrashStateOptions) {
  await using states = await enumerateCrashStates(await readWriteLog(log), start, options);
  const target = join(work, 'copy.img');
  const contents: { content: string; from: number; until: number }[] = [];
  await using copy = await states.open(target);
  const show = async (state: (typeof states.states)[number]): Promise<string> => {
    await copy.show(state);
    const bytes = await readFile(target);
    return Array.from({ length: bytes.length / sectorSize }, (_, sector) => {
      const held = bytes.subarray(sector * sectorSize, (sector + 1) * sectorSize);
      assert.ok(
        held.every((byte) => byte === held[0]),
        'a sector is of one piece',
      );
      return held[0];
    }).join('');
  };
  for (const state of states.states)
    contents.push({ content: await show(state), from: state.from, until: state.until });
  // In any order the copy holds the same.
  for (const [index, state] of [...states.states.entries()].toReversed().slice(0, 20)) {
    assert.equal(await show(state), contents[index]?.content);
  }
  assert.ok(states.states.every((state) => state.describe().length > 20));
  return { contents, leftOut: states.leftOut };
}

const start = fc.array(fc.nat(2), { minLength: sectors, maxLength: sectors });

test('all subsets of whole writes: the states are exactly those of the model, each once, with the last cut that leaves it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 14 }), start, async (actions, first) => {
      const run = await record(actions, first, 'whole');
      const { contents } = await enumerated(run.log, run.start, { subsets: 20, tears: 0 });
      const model = bruteForce(run, first, false);
      assert.equal(
        new Set(contents.map(({ content }) => content)).size,
        contents.length,
        'a state came twice',
      );
      assert.deepEqual(new Map(contents.map(({ content, until }) => [content, until])), new Map(model));
      for (const { from, until } of contents) assert.ok(from <= until);
    }),
    { numRuns: 150 },
  );
});

test('torn and sampled states are states of the model, each once, whatever the bounds', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 10 }),
      start,
      fc.nat(4),
      fc.nat(6),
      fc.nat(9),
      async (actions, first, subsets, tears, seed) => {
        const run = await record(actions, first, 'torn');
        const { contents } = await enumerated(run.log, run.start, { subsets, tears, seed });
        const model = bruteForce(run, first, true);
        assert.equal(
          new Set(contents.map(({ content }) => content)).size,
          contents.length,
          'a state came twice',
        );
        for (const { content, until } of contents) {
          assert.ok(model.has(content), `${content} cannot be`);
          assert.ok(until <= (model.get(content) ?? -1), `${content} cannot be as late as ${until}`);
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('a digest tells the contents of a part apart, and a cut is looked at from any record on', async () => {
  const parts = [
    { offset: 0, size: 3 * sectorSize },
    { offset: 2 * sectorSize, size: 4 * sectorSize },
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 10 }),
      start,
      fc.nat(10),
      async (actions, first, since) => {
        const run = await record(actions, first, 'parts');
        const log = await readWriteLog(run.log);
        await using states = await enumerateCrashStates(log, run.start, { parts, since });
        const target = join(work, 'parts.img');
        await using copy = await states.open(target);
        const contents: string[] = [];
        for (const state of states.states) {
          await copy.show(state);
          contents.push((await readFile(target)).toString('hex'));
          for (const [index, part] of parts.entries())
            assert.equal(state.parts[index], await states.digestOf(index, target, part));
        }
        await using early = await enumerateCrashStates(log, run.start, { before: since });
        await using all = await enumerateCrashStates(log, run.start);
        const digests = ({ states: found }: CrashStates): Set<string> =>
          new Set(found.map((one) => one.digest));
        const late = all.states.filter(({ until }) => until >= since).map(({ digest }) => digest);
        assert.deepEqual(digests(states), new Set(late));
        assert.deepEqual(digests(early).union(digests(states)), digests(all));
        if (since === 0) assert.equal(early.states.length, 0);
        for (const [index, { offset, size }] of parts.entries()) {
          const held = contents.map((hex) => hex.slice(2 * offset, 2 * (offset + size)));
          const told = states.states.map((state) => state.parts[index]);
          assert.equal(new Set(told).size, new Set(held).size, 'one digest for each content');
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('what the bounds leave out is counted', async () => {
  const actions: Action[] = Array.from({ length: 5 }, (_, at) => ({
    kind: 'issue',
    operation: 'write',
    forced: false,
    at,
    count: 1,
    fill: 3,
  }));
  const first = [0, 0, 0, 0, 0, 0];
  const run = await record(actions, first, 'bounds');
  const all = await enumerated(run.log, run.start, { subsets: 5 });
  assert.equal(all.contents.length, 2 ** 5);
  assert.deepEqual(all.leftOut, { epochs: 0, mostPending: 0, tornWrites: 0 });
  const some = await enumerated(run.log, run.start, { subsets: 4, samples: 0 });
  // None, five prefixes, each one missing or alone; the first alone and the last missing are prefixes.
  assert.equal(some.contents.length, 6 + 4 + 4);
  assert.deepEqual(some.leftOut, { epochs: 1, mostPending: 5, tornWrites: 0 });
  const long = await record(
    [{ kind: 'issue', operation: 'write', forced: false, at: 0, count: 3, fill: 3 }],
    first,
    'long',
  );
  const torn = await enumerated(long.log, long.start, { tears: 2 });
  assert.equal(torn.contents.length, 4);
  assert.equal(torn.leftOut.tornWrites, 1);
  assert.equal((await enumerated(long.log, long.start, { tears: 6 })).leftOut.tornWrites, 0);
});
