// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { MblError } from '@mbl/trust';
import { Downloads } from '../debian/downloads.ts';
import type { LockedPackage } from '../recipes/lock.ts';
import { makeDeb } from '../rootfs/testing/make-deb.ts';
import { hostArchitecture, openToolbox } from './toolbox.ts';

const run = promisify(execFile);

describe('a toolbox', () => {
  let folder: string;
  let cache: string;
  let packages: LockedPackage[];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mbl-toolbox-'));
    cache = join(folder, 'cache');
    const { sha256, file, name, version } = makeDeb(folder, {
      name: 'hello',
      files: {
        'usr/bin/hello': '#!/bin/sh\necho hello\n',
        'usr/share/hello/text': 'hello\n',
        'usr/bin/hi': '-> hello',
        'etc/hello.conf': 'left out\n',
      },
      modes: { 'usr/bin/hello': 0o755 },
    });
    const kept = new Downloads(join(cache, 'downloads')).path(sha256);
    await mkdir(dirname(kept), { recursive: true });
    await copyFile(file, kept);
    const { size } = await stat(file);
    const architecture = hostArchitecture();
    packages = [{ name, version, architecture, suite: 'trixie', path: 'pool/hello.deb', sha256, size }];
  });
  after(async () => await rm(folder, { recursive: true }));

  const open = async (place?: string) => await openToolbox('run', packages, { cache, place });
  const says = async (root: string) => (await run(join(root, 'usr/bin/hi'))).stdout;

  test('is unpacked once, also by two at a time', async () => {
    const [one, two] = await Promise.all([open(), open()]);
    assert.equal(one.root, two.root);
    assert.equal(await says(one.root), 'hello\n');
    const { ino } = await stat(one.root);
    await open();
    assert.equal((await stat(one.root)).ino, ino);
    assert.deepEqual(await readdir(dirname(one.root)), [one.root.slice(dirname(one.root).length + 1)]);
    await assert.rejects(stat(join(one.root, 'etc')), 'what programs do not look up is left out');
  });

  test('is made anew when a file of it is gone or changed', async () => {
    const { root } = await open();
    const damages: ((root: string) => Promise<void>)[] = [
      async () => await rm(join(root, 'usr/share/hello/text')),
      async () => await rm(join(root, 'usr/bin/hi')),
      async () => await appendFile(join(root, 'usr/bin/hello'), 'echo more\n'),
      async () => await rm(join(root, 'complete')),
      async () => await rm(join(root, 'usr'), { recursive: true }),
    ];
    for (const damage of damages) {
      const before = await stat(root);
      await damage(root);
      assert.equal((await open()).root, root);
      assert.equal(await says(root), 'hello\n');
      assert.ok((await stat(join(root, 'usr/share/hello/text'))).isFile());
      assert.notEqual((await stat(root)).ino, before.ino);
    }
  });

  test('is made anew where it was moved to, and stands where a link leads', async () => {
    const { root } = await open(join(folder, 'first'));
    const before = await stat(root);
    await symlink('first', join(folder, 'link'));
    assert.equal((await open(join(folder, 'link'))).root, root);
    assert.equal((await stat(root)).ino, before.ino);
    await rename(join(folder, 'first'), join(folder, 'second'));
    const moved = await open(join(folder, 'second'));
    assert.equal(moved.root, root.replace('first', 'second'));
    assert.notEqual((await stat(moved.root)).ino, before.ino);
  });

  test('is open to every user, whatever the umask', async () => {
    const before = process.umask(0o077);
    try {
      const { root } = await open(join(folder, 'private'));
      for (const [path, mode] of [
        ['', 0o755],
        ['usr/share/hello', 0o755],
        ['usr/bin/hello', 0o755],
        ['usr/share/hello/text', 0o644],
      ] as const)
        assert.equal((await stat(join(root, path))).mode & 0o777, mode, path);
    } finally {
      process.umask(before);
    }
  });

  test('stands in no folder whose name compilers take apart', async () => {
    for (const name of ['a b', 'a:b', 'a,b', 'a$b', 'a#b'])
      await assert.rejects(
        open(join(folder, name)),
        (error) =>
          error instanceof MblError &&
          error.code === 'builder/cache-unusable' &&
          /MBL_CACHE/.test(error.remedy ?? ''),
      );
  });
});
