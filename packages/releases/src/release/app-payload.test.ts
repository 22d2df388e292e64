// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  FileDisk,
  FileJournal,
  FileSource,
  FsVerityHasher,
  HttpMirror,
  transfer,
  type TransferOptions,
} from '@mbl/blocks';
import { serveFolder } from '../sources/serve.ts';
import { openTeams } from '../testing/team-scene.ts';
import { fetchedTargets, targetsOf } from './files.ts';
import { componentPath, mapPath, releasePath, streamPath } from './paths.ts';
import { storedAt } from './store.ts';

test('a payload makes the file of an app to its last byte, from what its version before has', async () => {
  await using scene = await openTeams();
  const { folder } = scene.repository;
  // 2.5 MB of which nothing can be compressed; 40 KB of it are another version's.
  const first = createHash('shake256', { outputLength: 600 * 4096 })
    .update('an app')
    .digest();
  const second = Buffer.from(first);
  createHash('shake256', { outputLength: 10 * 4096 })
    .update('news')
    .digest()
    .copy(second, 300 * 4096);
  const old = await scene.releaseOf('weather', '1.0', { sensor: first });
  const before = [old.release];
  const { release } = await scene.releaseOf('weather', '2.0', { sensor: second }, { before });
  const [was] = old.release.images[0]?.components ?? [];
  const [component] = release.images[0]?.components ?? [];
  const payload = component?.payload;
  assert.ok(payload && was?.payload && component.app);
  assert.deepEqual(was.payload.maps, []);
  assert.deepEqual(
    payload.maps.map(({ source }) => source),
    [was.payload.rootHash],
  );
  const path = join(folder, 'sensor.erofs');
  await writeFile(path, Buffer.alloc(second.length));
  const make = async (more: Pick<TransferOptions, 'sources' | 'maps'>) => {
    await using disk = await FileDisk.open({ name: 'sensor.erofs', path, blocks: 600 });
    const served = await serveFolder(folder);
    await using _closing = served;
    await using mirror = new HttpMirror({ url: served.url });
    const stored = storedAt('', componentPath('weather', payload), payload.sha256);
    return await transfer({
      target: { dataBlocks: payload.dataSize / 4096, rootHash: payload.rootHash, salt: Buffer.alloc(0) },
      payload: { ...payload, file: stored },
      stream: {
        file: join('targets', streamPath('weather', payload.rootHash)),
        size: payload.streamSize ?? 0,
      },
      disk,
      tree: false,
      mirrors: [mirror],
      journal: new FileJournal(join(folder, 'journal')),
      signal: new AbortController().signal,
      ...more,
    });
  };
  const all = await make({ sources: [], maps: [] });
  assert.ok(all.spent > second.length && all.spent < 1.1 * second.length, `${all.spent}`);
  const verity = new FsVerityHasher();
  verity.update(await readFile(path));
  assert.equal(verity.finish(), component.app.fsVerity);

  await writeFile(path, Buffer.alloc(second.length));
  const from = join(folder, 'former.erofs');
  await writeFile(from, first);
  await rm(join(folder, 'journal'));
  await using source = await FileSource.open({ name: 'former', path: from, blocks: 600 });
  const [map] = payload.maps;
  assert.ok(map);
  const file = join('targets', mapPath('weather', payload.rootHash, map.source));
  const some = await make({ sources: [source], maps: [{ source, file, size: map.size }] });
  assert.deepEqual([some.badMaps, some.wrong], [[], []]);
  assert.ok(some.spent < 60_000, `${some.spent} bytes for ten blocks`);
  assert.ok((await readFile(path)).equals(second));
});

test('what is made in haste has no stream, and all that a release names is among its targets', async () => {
  await using scene = await openTeams();
  const { release, targets } = await scene.releaseOf(
    'weather',
    '1.0',
    { sensor: Buffer.alloc(4096, 1) },
    { level: 1 },
  );
  const [component] = release.images[0]?.components ?? [];
  assert.ok(component?.app?.packages && component.payload);
  assert.equal(component.payload.streamSize, undefined);
  const paths = targets.map(({ path }) => path);
  assert.deepEqual(targetsOf(release).toSorted(), paths.toSorted());
  // A device reads what describes the app, and makes the app of its payload.
  assert.deepEqual(fetchedTargets(release), [
    releasePath('weather', '1.0'),
    componentPath('weather', component.payload),
    componentPath('weather', component.app.description),
  ]);
});
