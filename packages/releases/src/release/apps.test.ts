// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
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
import { formatRelease, type Release, type ReleaseComponent } from '@mbl/formats';
import { addTargets, changeRole } from '../repository/edit.ts';
import { folderSource } from '../sources/folder.ts';
import { serveFolder } from '../sources/serve.ts';
import { syntheticApp } from '../testing/synthetic-app.ts';
import { later, lyingSource, newSigner, now, SyntheticRepository } from '../testing/synthetic-repository.ts';
import type { MetadataSigner } from '../tuf/keys.ts';
import { acceptRelease } from './accept.ts';
import { acceptApps, checkApp } from './accept-apps.ts';
import type { ComposedRelease } from './compose.ts';
import { composeApps, type ComposeAppsOptions } from './compose-apps.ts';
import { fetchedTargets, targetsOf } from './files.ts';
import { componentPath, mapPath, releasePath, streamPath } from './paths.ts';
import { storedAt } from './store.ts';

const board = { keys: 'development', rollbackIndex: 0 } as const;
const wanted = { team: 'weather', name: '1.0' };

interface Scene extends AsyncDisposable {
  readonly repository: SyntheticRepository;
  readonly teams: Readonly<Record<'weather' | 'radio', MetadataSigner>>;
  /** Makes a release of apps, each of one letter's bytes, for a team. */
  readonly release: (team: string, name: string, apps: Readonly<Record<string, number>>) => Promise<Release>;
  /** The same, of apps whose file systems are given. */
  readonly releaseOf: (
    team: string,
    name: string,
    apps: Readonly<Record<string, Buffer>>,
    more?: Partial<ComposeAppsOptions>,
  ) => Promise<ComposedRelease>;
  /** Puts a file into the repository, and has a team vouch for it. */
  readonly vouch: (team: string, path: string, bytes: Buffer) => Promise<void>;
  readonly publish: () => Promise<readonly string[]>;
}

/** A repository with two teams of apps. */
async function open(): Promise<Scene> {
  const repository = await SyntheticRepository.open();
  const teams = { weather: await newSigner(), radio: await newSigner('ec') };
  for (const [name, { key }] of Object.entries(teams))
    changeRole(repository.state, name, { add: [key] }, now);
  await repository.sign();
  const all = [...repository.signers, ...Object.values(teams)];
  const scene: Scene = {
    repository,
    teams,
    async release(team, name, apps) {
      const images = Object.entries(apps).map(([app, seed]) => [app, Buffer.alloc(3 * 4096, seed)] as const);
      return (await scene.releaseOf(team, name, Object.fromEntries(images))).release;
    },
    async releaseOf(team, name, apps, more = {}) {
      const packages: string[] = [];
      for (const [app, image] of Object.entries(apps)) {
        packages.push(join(repository.folder, 'packages', app));
        await syntheticApp(join(repository.folder, 'packages', app), app, image);
      }
      const { folder } = repository;
      const options = {
        team,
        name,
        packages,
        keys: 'development',
        rollbackIndex: 1,
        notes: '',
        repository: folder,
        ...more,
      } as const;
      const composed = await composeApps(options);
      addTargets(repository.state, team, composed.targets, now);
      return composed;
    },
    async vouch(team, path, bytes) {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const place = join(repository.folder, 'targets', dirname(path), `${sha256}.${basename(path)}`);
      await mkdir(dirname(place), { recursive: true });
      await writeFile(place, bytes);
      addTargets(repository.state, team, [{ path, length: bytes.length, sha256 }], now);
    },
    publish: async () => (await repository.sign(all)).waiting,
    [Symbol.asyncDispose]: () => repository[Symbol.asyncDispose](),
  };
  return scene;
}

/** The release with another component in the place of its first. */
function changed(release: Release, change: (component: ReleaseComponent) => ReleaseComponent): Buffer {
  const images = release.images.map((image) => ({
    ...image,
    components: image.components.map((one, i) => (i === 0 ? change(one) : one)),
  }));
  return Buffer.from(formatRelease({ ...release, name: '2.0', images }));
}

test('apps of a team are released together, and every byte of them is checked', async () => {
  await using scene = await open();
  const made = await scene.release('weather', '1.0', { sensor: 1, display: 2 });
  assert.deepEqual(await scene.publish(), []);
  const client = await scene.repository.client();
  const { release, apps } = await acceptApps(client, wanted, board);
  assert.deepEqual(release, made);
  assert.deepEqual(
    apps.map(({ app }) => app.name),
    ['sensor', 'display'],
  );
  for (const app of apps) await checkApp(client, app);
});

test('a payload makes the file of an app to its last byte, from what its version before has', async () => {
  await using scene = await open();
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
  await using scene = await open();
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

test("without its team's key nobody publishes an app, whatever other keys there are", async () => {
  await using scene = await open();
  await scene.release('weather', '1.0', { sensor: 1 });
  const others = [...scene.repository.signers, scene.teams.radio];
  const { waiting } = await scene.repository.sign(others);
  assert.deepEqual(waiting, ['weather']);
  await assert.rejects(acceptApps(await scene.repository.client(), wanted, board), {
    code: 'release/missing',
  });
  await scene.publish();
  await acceptApps(await scene.repository.client(), wanted, board);
});

test("a team's key signs its own apps: no other team's, and nothing of the operating system", async () => {
  await using scene = await open();
  const own = await scene.release('weather', '1.0', { sensor: 1 });
  const text = Buffer.from(formatRelease({ ...own, team: 'radio' }));
  await scene.vouch('weather', releasePath('radio', '1.0'), text);
  await scene.vouch('weather', releasePath('os', '1.0'), text);
  await scene.release('radio', '0.9', { tuner: 3 });
  await scene.repository.release('0.9');
  // At its own place, under another's name.
  await scene.vouch('weather', releasePath('weather', '3.0'), text);
  // As a part of the operating system.
  const kernel = formatRelease(own).replaceAll('"name":"sensor"', '"name":"kernel"');
  await scene.vouch('weather', releasePath('weather', '4.0'), Buffer.from(kernel));
  await scene.publish();
  const client = await scene.repository.client();
  const refused = async (team: string, name: string, code: string) =>
    await assert.rejects(acceptApps(client, { team, name }, board), { code });
  await refused('radio', '1.0', 'release/unknown-release');
  await refused('weather', '3.0', 'release/mixed-up');
  await refused('weather', '4.0', 'formats/bad-release');
  await refused('os', '1.0', 'release/mixed-up');
  const onBoard = { ...board, machine: 'qemu-arm64' };
  await assert.rejects(acceptRelease(client, { team: 'os', name: '1.0' }, onBoard), {
    code: 'release/unknown-release',
  });
  await assert.rejects(acceptRelease(client, wanted, onBoard), { code: 'release/wrong-machine' });
});

test("a team gives out no file that another team's key has signed", async () => {
  await using scene = await open();
  const own = await scene.release('weather', '1.0', { sensor: 1 });
  await scene.vouch(
    'radio',
    releasePath('radio', '1.0'),
    Buffer.from(formatRelease({ ...own, team: 'radio' })),
  );
  await scene.publish();
  const client = await scene.repository.client();
  await assert.rejects(acceptApps(client, { team: 'radio', name: '1.0' }, board), {
    code: 'release/mixed-up',
  });
});

test('an app, its description and its digest belong together', async () => {
  await using scene = await open();
  const release = await scene.release('weather', '1.0', { sensor: 1, display: 2 });
  const other = release.images[0]?.components[1];
  assert.ok(other?.app);
  const { app: display, sha256, size } = other;
  const refused = async (
    change: (component: ReleaseComponent) => ReleaseComponent,
    code = 'release/mixed-up',
  ) => {
    await using attack = await open();
    await attack.release('weather', '1.0', { sensor: 1, display: 2 });
    await attack.vouch('weather', releasePath('weather', '2.0'), changed(release, change));
    await attack.publish();
    const client = await attack.repository.client();
    await assert.rejects(acceptApps(client, { ...wanted, name: '2.0' }, board), { code });
  };
  const app = (component: ReleaseComponent) => component.app ?? display;
  await refused((one) => ({ ...one, name: 'other' }));
  // Another app's permissions.
  await refused((one) => ({ ...one, app: { ...app(one), description: display.description } }));
  await refused((one) => ({ ...one, app: { ...app(one), fsVerity: display.fsVerity } }));
  await refused((one) => ({ ...one, sha256, size }));
  await refused((one) => ({ ...one, version: '9' }));
  await refused((one) => ({
    ...one,
    app: { ...app(one), description: { ...app(one).description, sha256: '0'.repeat(64) } },
  }));
  await refused((one) => {
    const { app: described, ...rest } = one;
    assert.ok(described);
    return rest;
  }, 'formats/bad-release');
});

test('a description is the one that its digest names, and vouched for by the team of the release', async () => {
  await using scene = await open();
  const release = await scene.release('weather', '1.0', { sensor: 1 });
  const described = release.images[0]?.components[0]?.app?.description;
  assert.ok(described);
  const place = `targets/${dirname(componentPath('weather', described))}/${described.sha256}.${described.file}`;
  const bytes = await readFile(join(scene.repository.folder, place));
  const claimed = { ...described, sha256: '1'.repeat(64) };
  await scene.vouch('weather', componentPath('weather', claimed), bytes);
  const another = changed(release, (one) => ({
    ...one,
    app: { fsVerity: one.app?.fsVerity ?? '', description: claimed },
  }));
  await scene.vouch('weather', releasePath('weather', '2.0'), another);
  await scene.publish();
  const client = await scene.repository.client();
  await assert.rejects(acceptApps(client, { ...wanted, name: '2.0' }, board), { code: 'release/mixed-up' });
  // A repository whose delegations overlap.
  const find = async (path: string) => {
    const target = await client.find(path);
    return target && path.endsWith('/app.json') ? { ...target, role: 'radio' } : target;
  };
  const overlapping = Object.assign(Object.create(client) as typeof client, {
    find,
    read: client.read.bind(client),
  });
  await assert.rejects(acceptApps(overlapping, wanted, board), { code: 'release/mixed-up' });
});

test('what a board would refuse of the operating system it refuses of an app', async () => {
  await using scene = await open();
  const release = await scene.release('weather', '1.0', { sensor: 1 });
  const elsewhere = {
    ...release,
    name: '2.0',
    images: release.images.map((one) => ({ ...one, machine: 'riscv64' })),
  };
  await scene.vouch('weather', releasePath('weather', '2.0'), Buffer.from(formatRelease(elsewhere)));
  await scene.publish();
  const client = await scene.repository.client();
  await assert.rejects(acceptApps(client, wanted, { ...board, keys: 'production' }), {
    code: 'release/wrong-keys',
  });
  await assert.rejects(acceptApps(client, wanted, { ...board, rollbackIndex: 2 }), {
    code: 'release/too-old',
  });
  await assert.rejects(acceptApps(client, { ...wanted, name: '2.0' }, board), {
    code: 'release/wrong-machine',
  });
  await assert.rejects(
    async () => await acceptApps(await scene.repository.client({ now: later(400) }), wanted, board),
    { code: 'release/expired' },
  );
});

test('a byte that was changed on the way is noticed, of the file system and of the description', async () => {
  await using scene = await open();
  const release = await scene.release('weather', '1.0', { sensor: 1 });
  await scene.publish();
  const component = release.images[0]?.components[0];
  assert.ok(component?.app);
  assert.ok(component.payload);
  for (const file of [component, component.payload, component.app.description]) {
    const path = `targets/${dirname(componentPath('weather', file))}/${file.sha256}.${file.file}`;
    const bytes = await readFile(join(scene.repository.folder, path));
    const at = bytes.length - 20;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    const source = lyingSource(folderSource(scene.repository.folder), { [path]: bytes });
    const client = await scene.repository.client({ source });
    await assert.rejects(
      async () => {
        const { apps } = await acceptApps(client, wanted, board);
        for (const app of apps) await checkApp(client, app);
      },
      { code: 'release/wrong-content' },
    );
  }
});

test('a digest that was signed wrong is noticed as well, and no such package is released', async () => {
  await using scene = await open();
  await scene.release('weather', '1.0', { sensor: 1 });
  await scene.publish();
  const client = await scene.repository.client();
  const { apps } = await acceptApps(client, wanted, board);
  const [app] = apps;
  assert.ok(app);
  const image = { ...app.app.image, fsVerity: '0'.repeat(64) };
  await assert.rejects(checkApp(client, { ...app, app: { ...app.app, image } }), {
    code: 'release/wrong-content',
  });
  const folder = join(scene.repository.folder, 'packages/sensor');
  await writeFile(join(folder, 'app.erofs'), Buffer.alloc(3 * 4096, 9));
  const options = {
    ...board,
    notes: '',
    repository: scene.repository.folder,
    team: 'weather',
    name: '5',
    packages: [folder],
  };
  await assert.rejects(composeApps(options), { code: 'release/bad-package' });
  // A device makes whole blocks.
  await syntheticApp(folder, 'sensor', Buffer.alloc(5000));
  await assert.rejects(composeApps(options), { code: 'release/bad-package', message: /whole blocks/ });
  await assert.rejects(composeApps({ ...options, team: 'os' }), { code: 'release/bad-role' });
  await assert.rejects(composeApps({ ...options, packages: [scene.repository.folder] }), {
    code: 'release/no-package',
  });
});
