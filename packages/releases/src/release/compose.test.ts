// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseCopyMap } from '@mbl/blocks';
import type { ComponentName, Release } from '@mbl/formats';
import fc from 'fast-check';
import { syntheticImage } from '../testing/synthetic-image.ts';
import { composeRelease, type ComposeOptions } from './compose.ts';
import { fipSize, fitSize } from './extents.ts';
import { mapPath, streamPath } from './paths.ts';

const folder = await mkdtemp(join(tmpdir(), 'mbl-compose-'));
after(() => rm(folder, { recursive: true, force: true }));

const compose = (
  images: readonly string[],
  components: readonly ComponentName[] = ['boot-firmware', 'kernel', 'root'],
  more: Partial<ComposeOptions> = {},
) =>
  composeRelease({
    name: '1.0',
    images,
    components,
    rollbackIndex: 2,
    notes: 'Notes.',
    repository: join(folder, 'releases'),
    ...more,
  });

test('a release holds what the image is made of, and nothing of the space around it', async () => {
  const image = join(folder, 'image');
  const description = await syntheticImage(image);
  const { release, targets } = await compose([image]);
  const [one] = release.images;
  const [firmware, kernel, root] = one?.components ?? [];
  assert.equal(firmware?.size, 196);
  assert.equal(kernel?.sha256, description.components.kernel.sha256);
  assert.equal(root?.size, 4 * 4096);
  assert.equal(root?.verity?.rootHash, description.components.root.rootHash);
  assert.deepEqual(kernel?.requires, [{ component: 'root', sha256: root?.sha256 }]);
  assert.deepEqual(root?.requires, [{ component: 'kernel', sha256: kernel?.sha256 }]);
  for (const { name, size, verity, payload } of one?.components ?? []) {
    assert.equal(payload?.file, `${name}.payload`);
    assert.equal(payload.dataSize, verity?.dataSize ?? Math.ceil(size / 4096) * 4096);
    assert.equal(payload.rootHash, verity?.rootHash ?? payload.rootHash);
    assert.ok(payload.indexSize < payload.size);
    const stream = await readFile(join(folder, 'releases/targets', streamPath('os', payload.rootHash)));
    assert.equal(stream.length, payload.streamSize);
    assert.deepEqual(payload.maps, []);
  }
  assert.equal(one?.packages?.file, 'packages.cdx.json');
  assert.equal(release.rollbackIndex, 2);
  for (const { path, sha256, length } of targets) {
    const at = path.lastIndexOf('/') + 1;
    const file = join(folder, 'releases/targets', path.slice(0, at), `${sha256}.${path.slice(at)}`);
    assert.equal((await readFile(file)).length, length);
  }
  assert.deepEqual((await compose([image])).targets, targets);
});

test('a release has copy maps from what the newest ones before it have, for each component', async () => {
  const before: Release[] = [];
  const roots: string[] = [];
  for (const [at, seed] of [1, 2, 3, 4, 5, 6].entries()) {
    const image = join(folder, `version-${seed}`);
    await syntheticImage(image, { seed: seed % 5, machine: seed === 6 ? 'other' : 'qemu-arm64' });
    const { release } = await compose([image], ['kernel', 'root'], { name: `1.${at}`, before, level: 1 });
    before.push(release);
    const [kernel, root] = release.images[0]?.components ?? [];
    assert.deepEqual(kernel?.payload?.maps, root?.payload?.maps);
    // What another machine has is of no use.
    const known = seed === 6 ? [] : roots.slice(-4).toReversed();
    assert.deepEqual(
      root?.payload?.maps.map(({ source }) => source),
      known,
    );
    for (const { payload } of [kernel, root].filter((each) => each !== undefined))
      for (const { source, size } of payload?.maps ?? []) {
        const path = join(folder, 'releases/targets', mapPath('os', payload?.rootHash ?? '', source));
        const map = parseCopyMap(await readFile(path), payload?.rootHash ?? '', 3);
        assert.equal((await readFile(path)).length, size);
        assert.equal(map.source, source);
      }
    roots.push(root?.verity?.rootHash ?? '');
  }
});

test('a part of a release is one that boots', async () => {
  const image = join(folder, 'parts');
  await syntheticImage(image);
  const names = async (parts: readonly ComponentName[]) =>
    (await compose([image], parts)).release.images[0]?.components.map(({ name }) => name);
  assert.deepEqual(await names(['boot-firmware']), ['boot-firmware']);
  assert.deepEqual(await names(['root', 'kernel']), ['kernel', 'root']);
  await assert.rejects(compose([image], ['kernel']), { code: 'release/incomplete' });
  await assert.rejects(compose([image], ['root', 'boot-firmware']), { code: 'release/incomplete' });
});

test('an image that is not what image.json says is not released', async () => {
  const cases = [
    ['flash.bin', 10, /flash\.bin has changed/],
    ['flash.bin', 4096, /no firmware image package/],
    ['disk.img', 4096, /holds no FIT/],
    ['disk.img', 4300, /the FIT in boot_a has changed/],
    ['disk.img', 8200, /its root has changed/],
  ] as const;
  for (const [file, at, message] of cases) {
    const image = join(folder, `changed-${file}-${at}`);
    await syntheticImage(image);
    await using handle = await open(join(image, file), 'r+');
    await handle.write(Buffer.from([0x55]), 0, 1, at);
    await assert.rejects(compose([image]), { code: 'release/bad-image', message }, `${file} ${at}`);
  }
  await assert.rejects(compose([join(folder, 'nothing')]), { code: 'release/no-image' });
});

test('images of two machines make one release, images with other keys or of one machine do not', async () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => join(folder, name)) as [string, string, string];
  await syntheticImage(a, { machine: 'a' });
  await syntheticImage(b, { machine: 'b', seed: 2 });
  await syntheticImage(c, { machine: 'c', keys: 'production' });
  assert.deepEqual(
    (await compose([a, b])).release.images.map(({ machine }) => machine),
    ['a', 'b'],
  );
  await assert.rejects(compose([a, c]), { code: 'release/mixed-keys' });
  await assert.rejects(compose([a, a]), { code: 'formats/bad-release', message: /machine is there twice/ });
});

test('a release has the rollback index of its images, or a higher one', async () => {
  const [old, raised] = [join(folder, 'old'), join(folder, 'raised')];
  await syntheticImage(old, { machine: 'old' });
  await syntheticImage(raised, { machine: 'raised', seed: 2, rollbackIndex: 3 });
  const options = { images: [old, raised], components: ['root', 'kernel'] as const, notes: '', name: '1.0' };
  const indexOf = async (index: { rollbackIndex?: number }) =>
    (await composeRelease({ ...options, ...index, repository: join(folder, 'releases') })).release
      .rollbackIndex;
  assert.equal(await indexOf({}), 3);
  assert.equal(await indexOf({ rollbackIndex: 4 }), 4);
  await assert.rejects(indexOf({ rollbackIndex: 2 }), { code: 'release/rollback-index' });
});

test('the size of a package or a FIT of any bytes is within them, or none', () => {
  const start = Buffer.from('010064aa', 'hex');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, named) => {
      const all = named ? Buffer.concat([start, bytes]) : Buffer.from(bytes);
      const size = fipSize(all);
      assert.ok(size === undefined || (size > 0 && size <= all.length));
      fitSize(all);
    }),
  );
});
