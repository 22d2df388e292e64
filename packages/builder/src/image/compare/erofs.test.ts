// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { MblError } from '@mbl/trust';
import { listErofs } from './erofs.ts';

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), 'mbl-erofs-'));
after(async () => await rm(folder, { recursive: true, force: true }));

async function makeErofs(source: string, ...options: readonly string[]): Promise<Buffer> {
  const path = join(folder, 'image');
  await rm(path, { force: true });
  await run('mkfs.erofs', ['--quiet', ...options, path, source]);
  return await readFile(path);
}

const source = join(folder, 'source');
await mkdir(join(source, 'etc'), { recursive: true });
await mkdir(join(source, 'usr/share'), { recursive: true });
await writeFile(join(source, 'etc/shadow'), 'secret');
await chmod(join(source, 'etc/shadow'), 0o640);
await chmod(join(source, 'usr/share'), 0o1750);
await symlink('/'.padEnd(300, 'x'), join(source, 'usr/long'));
// More names than one block of a folder holds, so that there are several.
const many = Array.from({ length: 600 }, (_, i) => `usr/share/file-${String(i).padStart(4, '0')}`);
for (const path of many) await writeFile(join(source, path), path);
const uuid = '00000000-0000-8000-8000-000000000001';
const image = await makeErofs(source, `-U${uuid}`, '--force-uid=70000', '--force-gid=7');

test('every file is listed with mode, owner, size and target', () => {
  const listing = listErofs(image);
  assert.equal(listing.uuid, uuid.replaceAll('-', ''));
  const of = (path: string) => {
    const { mode, uid, gid, size, target } = listing.entries.find((entry) => entry.path === path) ?? {};
    return { mode, uid, gid, size, target };
  };
  const owner = { uid: 70_000, gid: 7 };
  assert.deepEqual(of('etc/shadow'), { mode: 0o100640, ...owner, size: 6, target: undefined });
  assert.deepEqual(of('usr/long'), { mode: 0o120777, ...owner, size: 300, target: '/'.padEnd(300, 'x') });
  assert.equal(of('usr/share').mode, 0o041750);
  assert.deepEqual(
    listing.entries.filter(({ path }) => path.startsWith('usr/share/')).map(({ path }) => path),
    many,
  );
});

test('small owners, which an inode keeps in 16 bits, are read as well', async () => {
  const { entries } = listErofs(await makeErofs(source, '--force-uid=33', '--force-gid=44'));
  assert.ok(entries.every(({ uid, gid }) => uid === 33 && gid === 44));
});

test('extended attributes are told apart', async () => {
  const tagged = join(folder, 'tagged');
  await mkdir(tagged);
  const listed = async (value: string): Promise<Buffer | undefined> => {
    await writeFile(join(tagged, 'program'), 'x');
    const script = 'import os, sys; os.setxattr(sys.argv[1], "user.kind", sys.argv[2].encode())';
    await run('python3', ['-c', script, join(tagged, 'program'), value]);
    return listErofs(await makeErofs(tagged)).entries.find(({ path }) => path === 'program')?.attributes;
  };
  const [a, b, c] = [await listed('one'), await listed('two'), await listed('one')];
  assert.ok(a?.includes('one'));
  assert.notDeepEqual(a, b);
  assert.deepEqual(a, c);
});

test('a damaged file system is listed or refused', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(8192), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      fc.nat(image.length),
      (changes, length) => {
        const damaged = Buffer.from(image).subarray(0, length);
        for (const [at, value] of changes) if (at < length) damaged[at] = value;
        try {
          listErofs(damaged);
        } catch (error) {
          assert.ok(error instanceof MblError && error.code === 'builder/bad-erofs', String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test('a folder that holds itself is refused', () => {
  const damaged = Buffer.from(image);
  // The names of the top folder in their order: ".", "..", "etc", "usr"; their entries stand before them, 12 bytes each.
  const names = damaged.indexOf('...etcusr');
  assert.ok(names > 0, 'the top folder is found');
  const first = names - 4 * 12;
  assert.equal(damaged.readUInt16LE(first + 8), 4 * 12);
  damaged.writeBigUInt64LE(BigInt(damaged.readUInt16LE(1024 + 14)), first + 2 * 12);
  assert.throws(() => listErofs(damaged), { code: 'builder/bad-erofs' });
});
