// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { formatLockChange, type Lock, type LockedPackage, readLock } from '../recipes/lock.ts';
import { LockFiles, type LockFileChange, type WantedLock } from './lock-files.ts';
import { loadStages, type Stages } from './stages.ts';

const os = resolve(import.meta.dirname, '../../../../os');

interface Place {
  readonly folder: string;
  readonly os: string;
  stages(image: string, ...layers: string[]): Promise<Stages>;
  layer(name: string, text: string, images?: Readonly<Record<string, string>>): Promise<string>;
}

/** A copy of the distribution's recipes, without its locks. */
async function place(t: TestContext): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-locks-'));
  t.after(() => rm(folder, { recursive: true }));
  const copy = join(folder, 'os');
  await cp(os, copy, {
    recursive: true,
    filter: (path) => path !== join(os, 'locks'),
    verbatimSymlinks: true,
  });
  return {
    folder,
    os: copy,
    stages: (image, ...layers) => loadStages(copy, layers, 'qemu-arm64', image),
    layer: async (name, text, images = {}) => {
      const layer = join(folder, name);
      await mkdir(join(layer, 'images'), { recursive: true });
      await writeFile(join(layer, 'layer.yaml'), `name: ${name}\nimages: images\n${text}`);
      for (const [image, recipe] of Object.entries(images))
        await writeFile(join(layer, 'images', `${image}.yaml`), recipe);
      return layer;
    },
  };
}

const entry = (name: string, version: string): LockedPackage => ({
  name,
  version,
  architecture: 'arm64',
  suite: 'trixie',
  path: `pool/main/${name}_${version}_arm64.deb`,
  sha256: 'ab'.repeat(32),
  size: 1,
});

/** Locks the packages of an image: new ones at `version`, others as before. */
const rootLock = ({ whole }: Stages, version: string): WantedLock => ({
  file: `${whole.image.suite}/root-${whole.image.name}`,
  bases: whole.bases.map((base) => `${whole.image.suite}/root-${base}`),
  request: async ({ image }) => image && [image.suite, ...image.packages],
  resolve: async ([, ...names], before) => ({
    packages: names.map((name) => before.packages.find((each) => each.name === name) ?? entry(name, version)),
    sources: [],
    npm: [],
  }),
});

async function lock(
  { folder }: Place,
  stages: Stages,
  version: string,
  update = false,
): Promise<{ lock: Lock; changes: string[] }> {
  const changes: LockFileChange[] = [];
  const files = new LockFiles(stages, update, (change) => changes.push(change));
  const made = await files.obtain(rootLock(stages, version));
  const text = changes.map((change) => `${relative(folder, change.file)}: ${formatLockChange(change)}`);
  return { lock: made, changes: text };
}

test('a lock lies with the distribution, names its suite, and is changed only by what is asked for', async (t) => {
  const here = await place(t);
  const stages = await here.stages('production');
  const first = await lock(here, stages, '1');
  assert.ok(first.changes.includes('os/locks/trixie/root-production.json: added: systemd 1'));
  assert.deepEqual((await lock(here, stages, '2')).changes, [], 'what it answers is not asked again');

  const recipe = join(here.os, 'images/production.yaml');
  await writeFile(recipe, (await readFile(recipe, 'utf8')).replace('  - dash\n', '  - nano\n'));
  const other = await lock(here, await here.stages('production'), '2');
  assert.deepEqual(other.changes, [
    'os/locks/trixie/root-production.json: removed: dash 1',
    'os/locks/trixie/root-production.json: added: nano 2',
  ]);
  assert.deepEqual(await readLock(join(here.os, 'locks/trixie/root-production.json')), other.lock);

  const renewed = await lock(here, await here.stages('production'), '3', true);
  assert.ok(renewed.changes.every((change) => change.endsWith('-> 3')));
  assert.equal(renewed.changes.length, renewed.lock.packages.length);
});

test("a product's lock lies beside its layer and starts from the distribution's, which it leaves alone", async (t) => {
  const here = await place(t);
  await lock(here, await here.stages('production'), '1');
  const file = join(here.os, 'locks/trixie/root-production.json');
  const before = await readFile(file, 'utf8');

  const more = 'change:\n  images:\n    production: { packages: { add: [tzdata] } }\n';
  const changing = await here.layer('changing', more);
  const changed = await lock(here, await here.stages('production', changing), '2');
  assert.deepEqual(changed.changes, ['changing/locks/trixie/root-production.json: added: tzdata 2']);

  const own = await here.layer('own', '', { product: 'extends: production\ntitle: P\npackages: [nano]\n' });
  const product = await lock(here, await here.stages('product', own), '2');
  assert.deepEqual(product.changes, ['own/locks/trixie/root-product.json: added: nano 2']);
  assert.equal(product.lock.packages.find(({ name }) => name === 'systemd')?.version, '1');

  const both = await lock(here, await here.stages('product', changing, own), '3');
  assert.ok(both.changes.includes('own/locks/trixie/root-product.json: added: tzdata 3'));
  assert.equal(await readFile(file, 'utf8'), before);
});

test('a layer that asks for nothing else keeps no lock of its own', async (t) => {
  const here = await place(t);
  await lock(here, await here.stages('production'), '1');
  const quiet = await here.layer('quiet', 'change:\n  images:\n    production: { hostname: quiet }\n');
  const stages = await here.stages('production', quiet);
  assert.deepEqual((await lock(here, stages, '2')).changes, []);
  assert.ok(!existsSync(join(quiet, 'locks')));
});

test('an image for which an upper layer brings the base is known from there on', async (t) => {
  const here = await place(t);
  const lower = await here.layer('lower', 'change:\n  images:\n    late: { hostname: late }\n');
  const upper = await here.layer('upper', '', { late: 'extends: production\ntitle: Late\n' });
  const { changes } = await lock(here, await here.stages('late', lower, upper), '1');
  assert.ok(changes.every((change) => change.startsWith('upper/locks/trixie/root-late.json: added')));
});
