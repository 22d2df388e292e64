// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { BLOCK_SIZE, treeLevels, treeSize, VerityHasher, type VerityTree, VerityVerifier } from './index.ts';

const run = promisify(execFile);
const salt = Buffer.from('5b'.repeat(32), 'hex');
let folder = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mbl-verity-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const hashAll = (data: Buffer, piece = data.length, withSalt: Buffer = salt): VerityTree => {
  const hasher = new VerityHasher(withSalt);
  for (let at = 0; at < data.length; at += piece) hasher.update(data.subarray(at, at + piece));
  return hasher.finish();
};

/** Random blocks, so that a wrong order of digests cannot go unnoticed. */
const image = (blocks: number): Buffer => randomBytes(blocks * BLOCK_SIZE);

const veritysetup = (path: string, blocks: number, withSalt: Buffer): string[] => [
  '--no-superblock',
  '--hash=sha256',
  `--salt=${withSalt.length > 0 ? withSalt.toString('hex') : '-'}`,
  '--data-block-size=4096',
  '--hash-block-size=4096',
  `--data-blocks=${blocks}`,
  `--hash-offset=${blocks * BLOCK_SIZE}`,
  path,
  path,
];

// 1: no tree; 128 and 129: the edges of one and two levels; 16385: three levels.
for (const blocks of [1, 2, 127, 128, 129, 1000, 16385])
  test(`the tree of ${blocks} blocks is veritysetup's, bit for bit`, async () => {
    const data = image(blocks);
    const path = join(folder, `image-${blocks}`);
    await writeFile(path, data);
    const { stdout } = await run('/usr/sbin/veritysetup', ['format', ...veritysetup(path, blocks, salt)]);
    const { tree, rootHash, dataBlocks } = hashAll(data, 10_000);
    assert.equal(rootHash, /Root hash:\s+(\w+)/.exec(stdout)?.[1]);
    assert.equal(dataBlocks, blocks);
    const { readFile } = await import('node:fs/promises');
    const theirs = (await readFile(path)).subarray(data.length);
    assert.deepEqual(tree, theirs.subarray(0, tree.length));
    assert.equal(tree.length, treeSize(blocks));
  });

test('veritysetup verifies our image, and refuses it after a flipped bit', async () => {
  const data = image(300);
  const { tree, rootHash } = hashAll(data);
  const path = join(folder, 'ours');
  await writeFile(path, Buffer.concat([data, tree]));
  const verify = (): Promise<unknown> =>
    run('/usr/sbin/veritysetup', ['verify', ...veritysetup(path, 300, salt), rootHash]);
  await verify();
  data[200 * BLOCK_SIZE + 7] = (data[200 * BLOCK_SIZE + 7] ?? 0) ^ 1;
  await writeFile(path, Buffer.concat([data, tree]));
  await assert.rejects(verify);
});

test('a verifier accepts every block of its image', () => {
  const data = image(513);
  const { tree, rootHash } = hashAll(data);
  const verifier = new VerityVerifier({ dataBlocks: 513, rootHash, salt }, tree);
  for (let index = 0; index < 513; index += 1)
    verifier.check(index, data.subarray(index * BLOCK_SIZE, (index + 1) * BLOCK_SIZE));
});

test('any flipped bit in data, tree, salt or root hash is refused', () => {
  const blocks = 260;
  const data = image(blocks);
  const { tree, rootHash } = hashAll(data);
  const whole = Buffer.concat([data, tree, salt, Buffer.from(rootHash, 'hex')]);
  const checkAll = (bytes: Buffer): void => {
    const at = data.length + tree.length;
    const description = {
      dataBlocks: blocks,
      salt: bytes.subarray(at, at + 32),
      rootHash: bytes.subarray(at + 32).toString('hex'),
    };
    const verifier = new VerityVerifier(description, bytes.subarray(data.length, at));
    for (let index = 0; index < blocks; index += 1)
      verifier.check(index, bytes.subarray(index * BLOCK_SIZE, (index + 1) * BLOCK_SIZE));
  };
  checkAll(whole);
  fc.assert(
    fc.property(fc.nat({ max: whole.length * 8 - 1 }), (bit) => {
      const changed = Buffer.from(whole);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(() => checkAll(changed), { code: 'blocks/corrupt' });
    }),
    { numRuns: 200 },
  );
});

test('whatever a description or a tree says, only our error comes out', () => {
  fc.assert(
    fc.property(
      fc.record({
        dataBlocks: fc.oneof(fc.nat({ max: 400 }), fc.double()),
        rootHash: fc.oneof(fc.string(), fc.constant('0'.repeat(64))),
      }),
      fc.uint8Array({ maxLength: 9000 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.integer(),
      (fields, tree, anySalt, index) => {
        try {
          new VerityVerifier({ ...fields, salt: anySalt }, tree).check(index, tree);
          assert.fail('accepted');
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
        }
      },
    ),
  );
});

test('pieces of any size give the same tree', () => {
  const data = image(20);
  const { rootHash } = hashAll(data);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30_000 }), (piece) =>
      assert.equal(hashAll(data, piece).rootHash, rootHash),
    ),
    { numRuns: 50 },
  );
});

test('data that is no whole number of blocks is refused', () => {
  assert.throws(() => hashAll(Buffer.alloc(BLOCK_SIZE + 1)), { code: 'blocks/bad-size' });
  assert.throws(() => new VerityHasher(salt).finish(), { code: 'blocks/bad-size' });
});

test('levels lie on the disk with the top first', () => {
  assert.deepEqual(treeLevels(1), []);
  assert.deepEqual(treeLevels(128), [{ start: 0, blocks: 1 }]);
  assert.deepEqual(treeLevels(129), [
    { start: 1, blocks: 2 },
    { start: 0, blocks: 1 },
  ]);
});
