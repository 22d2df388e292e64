// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { MblError } from '@mbl/trust';
import { type CopyRun, formatCopyMap, parseCopyMap } from './copy/copy-map.ts';
import { GroupHasher } from './groups.ts';
import { treeLevels } from './layout.ts';
import { formatIndex, parseIndex } from './payload/format.ts';
import { Random, targetOf } from './testing/random.ts';
import { publish } from './testing/scene.ts';
import { VarintReader, VarintWriter } from './varints.ts';
import { packFrame, unpackFrame } from './zstd.ts';

const root = 'ab'.repeat(32);
const runsIn = (blocks: number): fc.Arbitrary<CopyRun[]> =>
  fc
    .array(fc.record({ gap: fc.nat(20), blocks: fc.integer({ min: 1, max: 9 }), source: fc.nat(2 ** 19) }), {
      maxLength: 50,
    })
    .map((list) => {
      let end = 0;
      return list.flatMap(({ gap, blocks: count, source }) => {
        const target = end + gap;
        end = target + count;
        return end <= blocks ? [{ target, blocks: count, source }] : [];
      });
    });

test('a copy map is read as it was written', async () => {
  await fc.assert(
    fc.asyncProperty(runsIn(500), async (runs) => {
      const map = { target: root, source: 'cd'.repeat(32), runs };
      assert.deepEqual(parseCopyMap(await formatCopyMap(map), root, 500), map);
    }),
  );
});

test('whatever a copy map says, its runs lie in the images, or it is refused', async () => {
  const header = Buffer.concat([
    Buffer.from('MBLcopy1'),
    Buffer.from(root, 'hex'),
    Buffer.alloc(32),
    Buffer.alloc(4),
  ]);
  const numbers = fc.array(
    fc.oneof(fc.nat(300), fc.nat(2 ** 31), fc.integer({ min: 2 ** 32 - 9, max: 2 ** 32 - 1 })),
  );
  await fc.assert(
    fc.asyncProperty(numbers, fc.uint8Array(), async (values, noise) => {
      const writer = new VarintWriter();
      for (const value of values) writer.write(value);
      const body = writer.finish();
      header.writeUInt32LE(body.length, 72);
      for (const bytes of [
        Buffer.concat([header, await packFrame(body)]),
        Buffer.concat([header, noise]),
        noise,
      ])
        try {
          let end = 0;
          for (const { target, source, blocks } of parseCopyMap(bytes, root, 500).runs) {
            assert.ok(target >= end && blocks > 0 && source >= 0);
            end = target + blocks;
            assert.ok(end <= 500 && source + blocks <= 2 ** 20);
          }
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
          assert.equal(error.code, 'blocks/bad-copy-map');
        }
    }),
    { numRuns: 300 },
  );
});

test('a run that leads out of the target or of any source is refused', async () => {
  const at = async (target: number, source: number, blocks: number): Promise<unknown> =>
    parseCopyMap(
      await formatCopyMap({ target: root, source: root, runs: [{ target, source, blocks }] }),
      root,
      500,
    );
  await at(499, 2 ** 20 - 1, 1);
  for (const [target, source, blocks] of [
    [499, 0, 2],
    [500, 0, 1],
    [0, 2 ** 20, 1],
    [0, 2 ** 20 - 1, 2],
    [5, -1, 2],
    [5, 5, 0],
  ] as const)
    await assert.rejects(at(target, source, blocks), { code: 'blocks/bad-copy-map' });
  const other = await formatCopyMap({ target: 'cd'.repeat(32), source: root, runs: [] });
  assert.throws(() => parseCopyMap(other, root, 500), { code: 'blocks/bad-copy-map' });
});

test('an index that was changed, or made wrong, is refused', async () => {
  const target = targetOf(new Random(3).image(200));
  const { payload, files } = await publish(target, []);
  const index = Buffer.from(files.get('payload') ?? []).subarray(-payload.indexSize);
  const hasher = new GroupHasher(target.target);
  assert.equal(parseIndex(index, payload, hasher).frameEnds.length, 50);
  const refused = (bytes: Uint8Array, named: typeof payload): void => {
    assert.throws(
      () => parseIndex(bytes, named, hasher),
      (error: unknown) =>
        error instanceof MblError && ['blocks/bad-index', 'blocks/corrupt'].includes(error.code),
    );
  };
  fc.assert(
    fc.property(fc.nat(index.length * 8 - 1), (bit) => {
      const bytes = Buffer.from(index);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      refused(bytes, payload);
      // Even where the release vouches for it: what does not add up is not used.
      const made = { ...payload, indexSha256: hash('sha256', bytes) };
      try {
        const parsed = parseIndex(bytes, made, hasher);
        assert.equal(parsed.frameEnds.at(-1), parsed.digestsAt);
      } catch (error) {
        assert.ok(error instanceof MblError, String(error));
      }
    }),
    { numRuns: 400 },
  );
  // The lengths of two frames changed places: it adds up, and is not what the release vouches for.
  const { frameEnds, groupDigests, frameBlocks, dictionaryBlocks } = parseIndex(index, payload, hasher);
  const lengths = [...frameEnds].map((end, frame) => end - (frameEnds[frame - 1] ?? 0));
  const other = lengths.findIndex((length) => length !== lengths[0]);
  [lengths[0], lengths[other]] = [lengths[other] ?? 0, lengths[0] ?? 0];
  const made = await formatIndex({ frameBlocks, dictionaryBlocks }, 200, groupDigests, lengths);
  const named = { ...payload, size: payload.size - payload.indexSize + made.length, indexSize: made.length };
  assert.ok(parseIndex(made, { ...named, indexSha256: hash('sha256', made) }, hasher));
  refused(made, named);
  refused(index, { ...payload, size: payload.size + 1 });
  refused(index.subarray(1), { ...payload, indexSize: payload.indexSize - 1 });
});

test('a frame of another size than asked for is none, however small it is packed', async () => {
  const bomb = await packFrame(Buffer.alloc(64 << 20));
  assert.ok(bomb.length < 10_000);
  assert.equal(unpackFrame(bomb, 4096), undefined);
  const frame = await packFrame(Buffer.from('text'), Buffer.from('a text'));
  assert.equal(unpackFrame(frame, 4, Buffer.from('a text'))?.toString(), 'text');
  assert.equal(unpackFrame(frame, 5, Buffer.from('a text')), undefined);
  assert.equal(unpackFrame(Buffer.from('none'), 4), undefined);
});

test('numbers of seven bits a byte', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2 ** 32 - 1)), (values) => {
      const writer = new VarintWriter();
      for (const value of values) writer.write(value);
      const reader = new VarintReader(writer.finish());
      assert.deepEqual(
        values.map(() => reader.read()),
        values,
      );
      assert.ok(reader.done);
    }),
  );
  for (const bytes of [[0x80], [0xff, 0xff, 0xff, 0xff, 0x7f], [0x80, 0x80, 0x80, 0x80, 0x80, 0x01]])
    assert.equal(new VarintReader(Buffer.from(bytes)).read(), undefined);
});

test('the digests of the groups lead to the root hash, and give the upper levels of the tree', () => {
  for (const blocks of [1, 2, 128, 129, 300]) {
    const { target, data, whole } = targetOf(new Random(blocks).image(blocks));
    const hasher = new GroupHasher(target);
    const digests = Buffer.concat(
      Array.from({ length: hasher.groups }, (_, group) =>
        hasher.digest(
          hasher.hashBlock(data.subarray(group * 128 * 4096, (group * 128 + hasher.sizeOf(group)) * 4096)),
        ),
      ),
    );
    const upper = hasher.upperLevels(digests);
    assert.ok(
      upper.equals(whole.subarray(data.length, data.length + (treeLevels(blocks)[0]?.start ?? 0) * 4096)),
    );
    digests[5] = (digests[5] ?? 0) ^ 1;
    assert.throws(() => hasher.upperLevels(digests), { code: 'blocks/corrupt' });
  }
});
