// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { access, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { acceptRelease } from '../release/accept.ts';
import { componentPath } from '../release/paths.ts';
import { folderSource } from '../sources/folder.ts';
import { now, SyntheticRepository } from '../testing/synthetic-repository.ts';
import { dropReleases, removeFiles } from './drop.ts';
import { exportRelease } from './export.ts';
import { ofKind } from './roles.ts';

const board = { machine: 'qemu-arm64', keys: 'development', rollbackIndex: 0 } as const;

test('an exported release is all that a device needs, and no more', async () => {
  await using repository = await SyntheticRepository.open();
  const { folder, state } = repository;
  await repository.release('1.0', { seed: 1 });
  await repository.release('1.1', { seed: 2 });
  await repository.sign();
  const target = join(folder, 'stick');
  const files = await exportRelease(folder, state, target, { team: 'os', name: '1.1' });
  const accept = async (name: string) => {
    const client = await repository.client({ source: folderSource(target) });
    const { components } = await acceptRelease(client, { team: 'os', name }, board);
    for (const { component } of components) {
      assert.ok(component.payload);
      const payload = await client.find(componentPath('os', component.payload));
      assert.ok(payload);
      // Its digest is held against what was signed.
      for await (const _piece of client.read(payload));
    }
    return components.length;
  };
  assert.equal(await accept('1.1'), 3);
  // Its description and three payloads, and metadata: a root, targets, os, snapshot, timestamp.
  assert.equal(files.length, 9);
  assert.equal(files.at(-1), 'metadata/timestamp.json');
  await assert.rejects(accept('1.0'), { code: 'release/missing' });
  // What a pulled stick left is mended; what is there already is left alone.
  const [root = ''] = files.filter((file) => file.endsWith('root.payload'));
  const [kernel = ''] = files.filter((file) => file.endsWith('kernel.payload'));
  await writeFile(join(target, root), 'half');
  await utimes(join(target, kernel), 1, 1);
  await exportRelease(folder, state, target, { team: 'os', name: '1.1' });
  assert.equal(await accept('1.1'), 3);
  await rm(join(folder, kernel));
  await exportRelease(folder, state, target, { team: 'os', name: '1.1' }).then(
    () => assert.fail('a file that is gone is missed'),
    (error: NodeJS.ErrnoException) => assert.equal(error.code, 'ENOENT'),
  );
  await assert.rejects(exportRelease(folder, state, target, { team: 'os', name: '2.0' }), {
    code: 'release/unknown-release',
  });
});

test('a dropped release is vouched for by nobody, and takes with it what no other one has', async () => {
  await using repository = await SyntheticRepository.open();
  const { folder, state } = repository;
  for (const [at, [name, seed]] of (
    [
      ['build-1', 1],
      ['build-2', 1],
      ['build-3', 2],
      ['1.0', 3],
    ] as const
  ).entries()) {
    await repository.release(name, { seed });
    await repository.sign();
    const sha256 = ofKind(state.published, 'os', 'targets')?.signed.targets[`os/releases/${name}.json`]
      ?.hashes;
    // The times of their files say which is the oldest.
    await utimes(join(folder, `targets/os/releases/${sha256?.['sha256']}.${name}.json`), at, at);
  }
  const drop = async (keep: number) =>
    await dropReleases(folder, state, 'os', { names: /^build-/, keep, now });
  const before = await drop(2);
  // Its description alone: the rest is also the next one's.
  assert.equal(before.length, 1);
  assert.equal((await drop(2)).length, 0, 'staged once');
  const gone = await drop(1);
  // Three components, their payloads and streams, and a bill of materials that nobody else names any more.
  assert.equal(gone.length, 11);
  await repository.sign();
  await removeFiles(folder, [...before, ...gone]);
  const client = await repository.client();
  const accept = async (name: string) => await acceptRelease(client, { team: 'os', name }, board);
  for (const name of ['build-1', 'build-2'])
    await assert.rejects(accept(name), { code: 'release/unknown-release' });
  await accept('build-3');
  await accept('1.0');
  for (const file of [...before, ...gone])
    await assert.rejects(access(join(folder, file)), { code: 'ENOENT' });
});
