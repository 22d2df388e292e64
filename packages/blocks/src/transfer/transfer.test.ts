// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MblError } from '@mbl/trust';
import { BLOCK_SIZE, transfer } from '../index.ts';
import { MemoryDisk, MemorySource, PowerCut, Steps } from '../testing/devices.ts';
import { Random, type Target, targetOf } from '../testing/random.ts';
import { images, publish, type Scene, scene } from '../testing/scene.ts';

function assertWhole({ disk }: Scene, { whole }: Target): void {
  assert.ok(disk.bytes.subarray(0, whole.length).equals(whole), 'image and hash tree are on the disk');
  assert.ok(
    disk.bytes.subarray(whole.length).every((byte) => byte === 0x5a),
    'nothing is written behind them',
  );
}

async function prepare(
  seed: number,
  blocks: number,
): Promise<{
  random: Random;
  target: Target;
  published: Awaited<ReturnType<typeof publish>>;
  olds: { running: Buffer; idle: Buffer };
}> {
  const random = new Random(seed);
  const olds = images(random, blocks);
  const target = targetOf(olds.next);
  const bases = [new MemorySource('root_a', olds.running), new MemorySource('root_b', olds.idle)];
  return { random, target, published: await publish(target, bases), olds };
}

test('any image comes onto any disk, with and without copy maps', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.integer({ min: 1, max: 300 }),
      fc.boolean(),
      async (seed, blocks, useMaps) => {
        const { target, published, olds } = await prepare(seed, blocks);
        const it = scene(target, published, olds, { useMaps });
        const report = await transfer(it.options);
        assertWhole(it, target);
        assert.deepEqual([report.wrong, report.badMaps], [[], []]);
        assert.equal(report.spent, it.mirror.sent + it.mirror.requests.length * 768, 'every byte is counted');
      },
    ),
    { numRuns: 40 },
  );
});

test('a file ends where its data does: no hash tree behind it, and no room for one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 300 }), async (seed, blocks) => {
      const { target, published, olds } = await prepare(seed, blocks);
      const file = new MemoryDisk('file', Buffer.alloc(target.data.length, 0x5a));
      const { options, running } = scene(target, published, olds);
      const onFile = { ...options, disk: file, sources: [running, file] };
      if (blocks > 1) await assert.rejects(transfer(onFile), { code: 'blocks/too-small' });
      await transfer({ ...onFile, tree: false });
      assert.ok(file.bytes.equals(target.data));
      // What was written is read back here as well.
      const worn = new MemoryDisk('file', Buffer.alloc(target.data.length, 0x5a));
      worn.write = async () => await Promise.resolve();
      await assert.rejects(transfer({ ...onFile, disk: worn, sources: [running], tree: false }), {
        code: 'blocks/disk-wrong',
      });
    }),
    { numRuns: 20 },
  );
});

test('what the device has is not fetched', async () => {
  const { target, published, olds } = await prepare(7, 700);
  const payload = published.files.get('payload')?.length ?? 0;
  const empty = { running: olds.running.subarray(0, 0), idle: olds.idle.subarray(0, 0) };
  const full = scene(target, published, empty, { useMaps: false, options: { sources: [] } });
  await transfer(full.options);
  const some = scene(target, published, olds);
  const report = await transfer(some.options);
  const none = scene(target, published, { ...olds, running: target.data });
  none.running.bytes.fill(0, 5 * BLOCK_SIZE, 6 * BLOCK_SIZE);
  assert.ok(full.mirror.sent <= payload, `${full.mirror.sent} of ${payload}`);
  assert.ok(some.mirror.sent < full.mirror.sent * 0.75, `${some.mirror.sent} of ${full.mirror.sent}`);
  assert.ok((report.copied['root_a'] ?? 0) > 100);
  // Once more: all is there, and nothing but the index is asked for.
  const again = await transfer({ ...some.options, journal: full.journal });
  assert.equal(again.requests, 1);
  assert.equal(again.kept, 6);
});

test('what the idle slot itself has is used while it is still there', async () => {
  const random = new Random(11);
  const idle = random.image(600);
  // Up and down by more than a group, and a part that stays.
  const moved = [idle.subarray(BLOCK_SIZE * 200), random.image(40), idle.subarray(0, BLOCK_SIZE * 160)];
  const target = targetOf(Buffer.concat([...moved, idle.subarray(BLOCK_SIZE * 560)]));
  const published = await publish(target, [new MemorySource('root_b', idle)]);
  for (const useMaps of [true, false]) {
    const it = scene(target, published, { idle, running: Buffer.alloc(0) }, { useMaps });
    const report = await transfer(it.options);
    assertWhole(it, target);
    assert.deepEqual(report.wrong, [], 'no block is copied from where another one was written');
    assert.ok((report.copied['root_b'] ?? 0) > 300, JSON.stringify(report.copied));
  }
});

test('after a power cut at any step the next run ends, and costs no more than what was in flight', async () => {
  for (const [seed, useMaps] of [
    [1, true],
    [2, false],
  ] as const) {
    const { target, published, olds, random } = await prepare(seed, 300);
    const counted = scene(target, published, olds, { useMaps });
    const steps = new Steps();
    counted.use(steps);
    const undisturbed = await transfer(counted.options);
    let cuts = 0;
    for (let cutAt = 0; cutAt < steps.count; cutAt += 1) {
      const it = scene(target, published, olds, { useMaps });
      it.use(new Steps(cutAt));
      await assert.rejects(
        transfer(it.options),
        (error: unknown) => isCut(error),
        `seed ${seed}, cut ${cutAt}`,
      );
      it.disk.crash(random);
      it.use(new Steps());
      const before = it.mirror.sent;
      const report = await transfer(it.options);
      assertWhole(it, target);
      const name = `seed ${seed}, cut ${cutAt}`;
      assert.ok(it.mirror.sent - before <= undisturbed.spent + 300_000, name);
      assert.ok(
        report.spent >= it.mirror.sent + it.mirror.requests.length * 768,
        `counted too little: ${name}`,
      );
      cuts += 1;
    }
    assert.ok(cuts > 50, `${cuts} cuts`);
  }
});

/** The power cut itself, or what the disk's owner makes of it. */
function isCut(error: unknown): boolean {
  const root = error instanceof MblError && error.cause !== undefined ? error.cause : error;
  assert.ok(root instanceof PowerCut, String(error));
  return true;
}
