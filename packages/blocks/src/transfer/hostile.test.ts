// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import { BLOCK_SIZE, type CopyRun, formatCopyMap, type TransferOptions, transfer } from '../index.ts';
import { MemorySource } from '../testing/devices.ts';
import { type Fault, MemoryMirror } from '../testing/memory-mirror.ts';
import { Random, type Target, targetOf } from '../testing/random.ts';
import { images, publish, type Published, type Scene, scene, stall } from '../testing/scene.ts';

const random = new Random(20);
const olds = images(random, 450);
const target: Target = targetOf(olds.next);
const published: Published = await publish(target, [
  new MemorySource('root_a', olds.running),
  new MemorySource('root_b', olds.idle),
]);

const fresh = (options: Partial<TransferOptions> = {}, useMaps = true): Scene =>
  scene(target, published, olds, { useMaps, options });

function assertWhole({ disk }: Scene): void {
  assert.ok(disk.bytes.subarray(0, target.whole.length).equals(target.whole), 'the image is on the disk');
}

/** Files of a mirror of which one has some bytes changed. */
function altered(file: string, change: (bytes: Buffer) => void): Map<string, Uint8Array> {
  const bytes = Buffer.from(published.files.get(file) ?? []);
  change(bytes);
  return new Map([...published.files, [file, bytes]]);
}

const code = (wanted: string) => (error: unknown) => {
  assert.ok(error instanceof MblError, String(error));
  assert.equal(error.code, wanted, error.message);
  return true;
};

test('a source that lies is named with its blocks, and the blocks come from elsewhere', async () => {
  for (const useMaps of [true, false]) {
    const it = fresh({}, useMaps);
    const honest = await transfer(fresh({}, useMaps).options);
    // The blocks change after the sources were looked at.
    const read = it.running.read.bind(it.running);
    const liar = Object.assign(it.running, {
      read: async (first: number, into: Uint8Array): Promise<void> => {
        await read(first, into);
        if (it.disk.writes > 0) into[9] = (into[9] ?? 0) ^ 1;
      },
    });
    const report = await transfer(it.options);
    assertWhole(it);
    assert.deepEqual(
      report.wrong.map(({ name }) => name),
      [useMaps ? `${liar.name}, or its copy map,` : liar.name],
    );
    assert.ok((report.wrong[0]?.blocks ?? 0) > 0);
    assert.ok(report.spent > honest.spent);
  }
});

test('a source that cannot be read is one that lies', async () => {
  const it = fresh();
  it.running.read = async () => await Promise.reject(new Error('EIO'));
  const report = await transfer(it.options);
  assertWhole(it);
  assert.deepEqual(
    report.wrong.map(({ name }) => name),
    ['root_a, or its copy map,'],
  );
});

test('a copy map that lies costs bytes, and nothing else', async () => {
  for (let round = 0; round < 20; round += 1) {
    const runs: CopyRun[] = [];
    for (let at = random.next(9); at < 440; at += 1 + random.next(30))
      runs.push({ target: at, source: random.next(460), blocks: 1 + random.next(Math.min(9, 450 - at)) });
    const ordered = runs.filter(
      ({ target: at }, n) => n === 0 || at >= (runs[n - 1]?.target ?? 0) + (runs[n - 1]?.blocks ?? 0),
    );
    const map = await formatCopyMap({
      target: target.target.rootHash,
      source: '00'.repeat(32),
      runs: ordered,
    });
    const files = new Map([...published.files, ['map-root_a', map]]);
    const it = fresh();
    const mirror = new MemoryMirror('mirror', files);
    const maps = [{ source: it.running, file: 'map-root_a', size: map.length }];
    await transfer({ ...it.options, maps, mirrors: [mirror] });
    assertWhole(it);
  }
});

test('a copy map that cannot be read is left aside', async () => {
  const it = fresh();
  const mirror = new MemoryMirror(
    'mirror',
    altered('map-root_a', (bytes) => bytes.fill(0xff, 70)),
  );
  const report = await transfer({ ...it.options, mirrors: [mirror] });
  assertWhole(it);
  assert.deepEqual(
    report.badMaps.map((error) => error.code),
    ['blocks/bad-copy-map'],
  );
  const none = fresh();
  const gone = new Map([['payload', published.files.get('payload') ?? new Uint8Array()]]);
  const without = await transfer({ ...none.options, mirrors: [new MemoryMirror('mirror', gone)] });
  assertWhole(none);
  assert.deepEqual(
    without.badMaps.map((error) => error.code),
    ['blocks/no-mirror', 'blocks/no-mirror'],
  );
});

test('a mirror that lies anywhere is named, and another one is asked; with none that is honest nothing wrong is written', async () => {
  const { size, indexSize } = published.payload;
  const digests = size - indexSize - target.target.dataBlocks * 32;
  const places = { index: size - indexSize + 30, digests: digests + 7, frames: 3 };
  for (const [where, at] of Object.entries(places)) {
    const files = altered('payload', (bytes) => {
      // Each frame, so that one of these is fetched.
      for (let each = at; each < (where === 'frames' ? digests : at + 1); each += 97)
        bytes[each] = (bytes[each] ?? 0) ^ 0x10;
    });
    const liar = new MemoryMirror('liar', files);
    const it = fresh({}, where !== 'digests');
    const report = await transfer({ ...it.options, mirrors: [liar, it.mirror] });
    assertWhole(it);
    assert.deepEqual(
      report.wrong.map(({ name }) => name),
      ['liar'],
      where,
    );
    const alone = fresh({}, where !== 'digests');
    await assert.rejects(
      transfer({ ...alone.options, mirrors: [liar] }),
      code('blocks/wrong-mirrors'),
      where,
    );
    // Whole groups only, and each at its place: what is there is the old or the new.
    const old = fresh().disk.bytes;
    for (let group = 0; group < target.data.length; group += 128 * BLOCK_SIZE) {
      const end = Math.min(group + 128 * BLOCK_SIZE, target.data.length);
      const now = alone.disk.bytes.subarray(group, end);
      assert.ok(now.equals(old.subarray(group, end)) || now.equals(target.data.subarray(group, end)), where);
    }
  }
});

test('a server that breaks off at any byte, stalls, drips or is down for a while is gone on with', async () => {
  const undisturbed = fresh();
  await transfer(undisturbed.options);
  const kinds = ['refuse', 'stall', 'drip', 'slow', 'endless'] as const;
  const faults: Fault[] = kinds.map((kind) => ({ kind }));
  for (const after of [0, 1, 500, 1023, 1024, 5000, 7000, 20_000])
    faults.push({ kind: 'break', after }, { kind: 'stall-after', after });
  for (const fault of faults) {
    const it = fresh();
    // The first requests, so that index, maps and frames meet it; each of them once.
    it.mirror.fault = (request) => (request % 2 === 0 ? fault : undefined);
    const report = await transfer(it.options);
    assertWhole(it);
    assert.deepEqual(report.wrong, [], JSON.stringify(fault));
    if (fault.kind !== 'endless' && !('after' in fault && fault.after > 5000))
      assert.ok(it.mirror.requests.length > undisturbed.mirror.requests.length, JSON.stringify(fault));
  }
});

test('a server that stays away ends the transfer, and the next run goes on', async () => {
  const whole = await transfer(fresh().options);
  for (const kind of ['refuse', 'stall'] as const) {
    const it = fresh();
    it.mirror.fault = (request) => (request > 6 ? { kind } : undefined);
    await assert.rejects(transfer(it.options), code('blocks/no-mirror'));
    it.mirror.fault = () => undefined;
    const report = await transfer(it.options);
    assertWhole(it);
    assert.ok(report.spent < whole.spent * 2.5, `${report.spent} after ${whole.spent}`);
  }
});

test('a disk that fails, is full, too small or forgetful is said to be', async () => {
  for (let failing = 0; failing < 8; failing += 1) {
    const it = fresh();
    it.disk.onWrite = () => {
      if (it.disk.writes > failing)
        throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    };
    await assert.rejects(transfer(it.options), code('blocks/disk-failed'));
    it.disk.onWrite = () => {};
    await transfer(it.options);
    assertWhole(it);
    // What it gives back is not what was written, in the data as in the tree.
    const bad = fresh();
    bad.disk.onWrite = (_, bytes) => {
      if (bad.disk.writes === failing + 1) bytes[100] = (bytes[100] ?? 0) ^ 4;
    };
    await assert.rejects(transfer(bad.options), code('blocks/disk-wrong'), `write ${failing}`);
  }
  // An image of one block has no tree that would show it.
  const block = targetOf(random.block());
  const one = scene(block, await publish(block, []), { running: block.data, idle: Buffer.alloc(0) });
  one.disk.onWrite = (_, bytes) => bytes.fill(1, 9, 10);
  await assert.rejects(transfer(one.options), code('blocks/disk-wrong'));
  const it = fresh();
  const small = Object.create(it.disk, { blocks: { value: 454 } });
  await assert.rejects(transfer({ ...it.options, disk: small }), code('blocks/too-small'));
});

test('a budget is never exceeded, and the error says what is needed', async () => {
  const { spent } = await transfer(fresh().options);
  for (let budget = 0; budget < spent; budget += 1 + random.next(spent / 30)) {
    const it = fresh({ budget });
    await assert.rejects(transfer(it.options), code('blocks/over-budget'));
    assert.ok(it.mirror.sent + 768 * it.mirror.requests.length <= budget, `budget ${budget}`);
    // Raised to what the errors say, it ends, and in few steps: index, two maps, plan.
    let limit = budget;
    for (let raise = 0; ; raise += 1) {
      assert.ok(raise < 6, `${raise} times raised`);
      const needed = await transfer({ ...it.options, budget: limit }).then(
        () => undefined,
        (error: unknown) => code('blocks/over-budget')(error) && (error as MblError).details?.['needed'],
      );
      if (needed === undefined) break;
      assert.ok(Number(needed) > limit, `${Number(needed)} after ${limit}`);
      limit = Number(needed);
    }
    assert.ok(it.mirror.sent + 768 * it.mirror.requests.length <= limit);
    assertWhole(it);
  }
  // With exactly what it takes, it ends.
  await transfer(fresh({ budget: spent }).options);
});

test('a mirror that lies cannot spend more than the budget', async () => {
  const { spent } = await transfer(fresh().options);
  const it = fresh({ budget: spent });
  it.running.bytes.fill(0x11);
  await assert.rejects(transfer(it.options), code('blocks/over-budget'));
  assert.ok(it.mirror.sent + 768 * it.mirror.requests.length <= spent);
});

test('an abort ends a transfer wherever it waits, with its reason', async () => {
  for (let request = 0; request < 6; request += 1) {
    const controller = new AbortController();
    const it = fresh({
      signal: controller.signal,
      timing: { sleep: async () => await new Promise(() => {}), stall },
    });
    it.mirror.fault = (number) => {
      if (number < request) return undefined;
      setImmediate(() => controller.abort(new Error('the owner said so')));
      return { kind: 'stall' };
    };
    await assert.rejects(transfer(it.options), /the owner said so/);
  }
});

test('a description that nobody can have made is refused before a byte is asked for', async () => {
  const { payload } = published;
  const cases: Partial<TransferOptions>[] = [
    { target: { ...target.target, dataBlocks: 2 ** 20 + 1 } },
    { target: { ...target.target, dataBlocks: -1 } },
    { target: { ...target.target, rootHash: 'x' } },
    { payload: { ...payload, size: Number.MAX_SAFE_INTEGER } },
    { payload: { ...payload, size: 2 ** 32 + 5 } },
    { payload: { ...payload, size: payload.indexSize } },
    { payload: { ...payload, indexSize: 2 ** 20 + 1 } },
    { payload: { ...payload, indexSize: 0.5 } },
    { payload: { ...payload, indexSha256: '' } },
  ];
  for (const each of cases) {
    const it = fresh(each);
    await assert.rejects(transfer(it.options), code('blocks/bad-description'), JSON.stringify(each.payload));
    assert.equal(it.mirror.requests.length, 0);
  }
});
