// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { formatRelease, type Release, type ReleaseComponent } from '@mbl/formats';
import { changeRole, removeTeam, renew } from '../repository/edit.ts';
import { ofKind } from '../repository/roles.ts';
import { folderSource } from '../sources/folder.ts';
import { syntheticApp } from '../testing/synthetic-app.ts';
import { later, lyingSource, now } from '../testing/synthetic-repository.ts';
import { openTeams } from '../testing/team-scene.ts';
import { acceptRelease } from './accept.ts';
import { acceptApps, checkApp } from './accept-apps.ts';
import { composeApps } from './compose-apps.ts';
import { componentPath, releasePath } from './paths.ts';

const board = { keys: 'development', rollbackIndex: 0 } as const;
const wanted = { team: 'weather', name: '1.0' };

/** The release with another component in the place of its first. */
function changed(release: Release, change: (component: ReleaseComponent) => ReleaseComponent): Buffer {
  const images = release.images.map((image) => ({
    ...image,
    components: image.components.map((one, i) => (i === 0 ? change(one) : one)),
  }));
  return Buffer.from(formatRelease({ ...release, name: '2.0', images }));
}

test('apps of a team are released together, and every byte of them is checked', async () => {
  await using scene = await openTeams();
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

test("without its team's key nobody publishes an app, whatever other keys there are", async () => {
  await using scene = await openTeams();
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

test('a team that was removed signs nothing any more, what it signed before included; and may come back', async () => {
  await using scene = await openTeams();
  const { state } = scene.repository;
  await scene.release('weather', '1.0', { sensor: 1 });
  await scene.release('radio', '1.0', { tuner: 1 });
  await scene.publish();
  const before = await scene.repository.client();
  await acceptApps(before, wanted, board);
  await scene.release('weather', '2.0', { sensor: 2 });
  removeTeam(state, 'weather', now);
  assert.deepEqual(await scene.publish(), []);
  for (const name of ['1.0', '2.0'])
    await assert.rejects(acceptApps(await scene.repository.client(), { team: 'weather', name }, board), {
      code: 'release/unknown-release',
    });
  await acceptApps(await scene.repository.client(), { team: 'radio', name: '1.0' }, board);
  assert.throws(() => removeTeam(state, 'weather', now), { code: 'release/unknown-team' });
  assert.throws(() => removeTeam(state, 'os', now), { code: 'release/bad-role' });
  // Its metadata stays in the snapshot (TUF 1.0.34 §5.5.5), and a renewal leaves it alone.
  assert.ok(ofKind(state.published, 'snapshot', 'snapshot')?.signed.meta['weather.json']);
  renew(state, now);
  assert.deepEqual(await scene.publish(), []);
  changeRole(state, 'weather', { add: [scene.teams.radio.key] }, now);
  // What it had is signed anew, by whoever answers for it now.
  assert.deepEqual((await scene.repository.sign()).waiting, ['weather']);
  assert.deepEqual(await scene.publish(), []);
  await acceptApps(await scene.repository.client(), wanted, board);
});

test("a team's key signs its own apps: no other team's, and nothing of the operating system", async () => {
  await using scene = await openTeams();
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
  await using scene = await openTeams();
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
  await using scene = await openTeams();
  const release = await scene.release('weather', '1.0', { sensor: 1, display: 2 });
  const other = release.images[0]?.components[1];
  assert.ok(other?.app);
  const { app: display, sha256, size } = other;
  const refused = async (
    change: (component: ReleaseComponent) => ReleaseComponent,
    code = 'release/mixed-up',
  ) => {
    await using attack = await openTeams();
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
  await using scene = await openTeams();
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
  await using scene = await openTeams();
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
  await using scene = await openTeams();
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
  await using scene = await openTeams();
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
