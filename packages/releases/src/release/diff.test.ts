// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { ofKind } from '../repository/roles.ts';
import { SyntheticRepository } from '../testing/synthetic-repository.ts';
import { changedComponents, changedPackages } from './diff.ts';
import { localReleases, readBill } from './local.ts';

test('two releases differ in the components whose bytes differ, and in packages', async () => {
  await using repository = await SyntheticRepository.open();
  await repository.release('1.9');
  await repository.sign();
  await repository.release('1.10', { seed: 2 });
  await repository.release('1.11', { seed: 2, components: ['boot-firmware'] });
  const { state, folder } = repository;
  const list = () =>
    localReleases(
      folder,
      ofKind(state.published, 'os', 'targets')?.signed,
      ofKind(state.staged, 'os', 'targets')?.signed,
    );
  const releases = await list();
  assert.deepEqual(
    releases.map(({ release, published }) => [release.name, published]),
    [
      ['1.9', true],
      ['1.10', false],
      ['1.11', false],
    ],
  );
  const [a, b, c] = releases.map(({ release }) => release);
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  assert.deepEqual(
    changedComponents(a, b).map(({ component, before, after }) => [
      component,
      before?.version,
      after?.version,
    ]),
    [
      ['boot-firmware', '2.12.1', '2.12.2'],
      ['kernel', '6.12.1', '6.12.2'],
      ['root', '0.1.0+1', '0.1.0+2'],
    ],
  );
  assert.deepEqual(changedComponents(a, a), []);
  assert.deepEqual(
    changedComponents(b, c).map(({ component, after }) => [component, after]),
    [
      ['kernel', undefined],
      ['root', undefined],
    ],
  );
  const bill = async (release = a) => {
    const file = release.images[0]?.packages;
    assert.ok(file !== undefined);
    return await readBill(folder, 'os', file);
  };
  assert.deepEqual(changedPackages(await bill(a), await bill(b)), [
    { name: 'only-1', before: ['1'], after: [] },
    { name: 'only-2', before: [], after: ['1'] },
    { name: 'systemd', before: ['257.1'], after: ['257.2'] },
  ]);
  const [path, target] = Object.entries(ofKind(state.published, 'os', 'targets')?.signed.targets ?? {}).find(
    ([one]) => one.includes('/releases/'),
  ) ?? [''];
  const name = path.slice(path.lastIndexOf('/') + 1);
  await writeFile(join(folder, `targets/os/releases/${target?.hashes['sha256']}.${name}`), '{}');
  await assert.rejects(list(), { code: 'release/wrong-content' });
});

test('whatever a bill of materials says, its reader throws its own error or nothing', () => {
  const good = '{"components":[]}';
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.jsonValue().map((value) => JSON.stringify({ components: [value] })),
      ),
      (text) => {
        try {
          changedPackages(good, text);
        } catch (error) {
          assert.ok(error instanceof MblError && error.code === 'release/bad-bill', String(error));
        }
      },
    ),
  );
});
