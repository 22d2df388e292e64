// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import type { Stages } from '../locks/stages.ts';
import { emptyLock } from '../recipes/lock.ts';
import { ArchivedLocks } from './inputs.ts';
import { archivePath } from './manifest.ts';
import { openArchive } from './read.ts';
import { type FileToArchive, writeArchive } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-archive-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string, kind: FileToArchive['kind'] = 'debian'): FileToArchive {
  const from = join(folder, name);
  writeFileSync(from, content);
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { kind, sha256, size: Buffer.byteLength(content), name, from };
}

const lock = { ...emptyLock, request: ['trixie', 'systemd'] };
const manifest = {
  machine: 'qemu-arm64',
  image: 'production',
  locks: new Map([['trixie/root-production', lock]]),
};
const files = [
  file('a.deb', 'a'),
  file('b.deb', 'b'.repeat(512)),
  file('c.tgz', 'c'.repeat(1000), 'npm'),
  file('d.deb', ''),
];

let count = 0;
const write = async (content: readonly FileToArchive[] = files): Promise<string> => {
  count += 1;
  const path = join(folder, `${count}.mbl`);
  const size = await writeArchive(path, manifest, content);
  assert.equal(readFileSync(path).length, size);
  return path;
};

test('what was put into an archive comes out of it, and equal content gives equal bytes', async () => {
  const path = await write();
  const again = await write([...files].toReversed());
  assert.ok(readFileSync(path).equals(readFileSync(again)));
  await using archive = await openArchive(path);
  assert.equal(archive.manifest.machine, 'qemu-arm64');
  assert.deepEqual(archive.manifest.locks, manifest.locks);
  assert.equal(archive.manifest.files.length, files.length);
  for (const each of archive.manifest.files) {
    const target = join(folder, 'out', each.sha256);
    await archive.extract(each, target);
    const from = files.find(({ sha256 }) => sha256 === each.sha256)?.from ?? '';
    assert.ok(readFileSync(target).equals(readFileSync(from)));
  }
  assert.ok(!readdirSync(join(folder, 'out')).some((name) => name.endsWith('.part')));
});

test('tar reads an archive', async () => {
  const path = await write();
  const listed = execFileSync('tar', ['-tf', path], { encoding: 'utf8' }).trim().split('\n');
  assert.deepEqual(listed, ['manifest.json', ...files.map(archivePath).toSorted()]);
  const [a] = files;
  assert.equal(
    execFileSync('tar', ['-xOf', path, archivePath(a ?? file('x', ''))], { encoding: 'utf8' }),
    'a',
  );
});

test('a file with another content than the manifest says is named, and does not get out', async () => {
  const path = await write();
  const bytes = readFileSync(path);
  const at = bytes.lastIndexOf('bbbb');
  bytes.write('X', at);
  writeFileSync(path, bytes);
  await using archive = await openArchive(path);
  const b = archive.manifest.files.find(({ name }) => name === 'b.deb');
  assert.ok(b !== undefined);
  const target = join(folder, 'refused', 'b');
  await assert.rejects(archive.extract(b, target), { code: 'builder/archive-invalid', message: /b\.deb/ });
  assert.ok(!existsSync(target));
  assert.deepEqual(readdirSync(join(folder, 'refused')), []);
});

test('an archive that is cut off, goes on, or is none at all is refused', async () => {
  const bytes = readFileSync(await write());
  const path = join(folder, 'hostile.mbl');
  for (const hostile of [
    Buffer.alloc(0),
    Buffer.from('not an archive'),
    Buffer.alloc(4096),
    bytes.subarray(0, 600),
    bytes.subarray(0, bytes.length - 1),
    Buffer.concat([bytes, Buffer.alloc(512)]),
  ]) {
    writeFileSync(path, hostile);
    await assert.rejects(openArchive(path), { code: 'builder/archive-invalid', remedy: /--archive/ });
  }
  await assert.rejects(openArchive(join(folder, 'none.mbl')), { code: 'builder/archive-invalid' });
  await assert.rejects(openArchive(folder), { code: 'builder/archive-invalid' });
});

test('paths and links that lead out are refused: the archive decides no path', async () => {
  const bytes = readFileSync(await write());
  const path = join(folder, 'leads-out.mbl');
  const inside = archivePath(files[0] ?? file('x', ''));
  for (const outside of ['../../../../../../etc/passwd', '/etc/passwd', 'debian/../../x']) {
    const hostile = Buffer.from(bytes);
    const header = hostile.indexOf(inside, 512 + 1);
    hostile.fill(0, header, header + 100);
    hostile.write(outside, header);
    writeFileSync(path, hostile);
    await assert.rejects(openArchive(path), { code: 'builder/archive-invalid' });
  }
  // The type of an entry: a symbolic link in the place of a file.
  const hostile = Buffer.from(bytes);
  hostile.write('2', hostile.indexOf(inside, 512 + 1) + 156);
  writeFileSync(path, hostile);
  await assert.rejects(openArchive(path), { code: 'builder/archive-invalid' });
  for (const name of ['sha256', 'name', 'size', 'kind'] as const) {
    const text = readFileSync(await write(), 'latin1');
    writeFileSync(path, Buffer.from(text.replace(`"${name}":`, `"${name.toUpperCase()}":`), 'latin1'));
    await assert.rejects(openArchive(path), { code: 'builder/archive-invalid' });
  }
});

test('no bytes make the reader throw anything but its own errors', async () => {
  const bytes = readFileSync(await write());
  const path = join(folder, 'fuzz.mbl');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 4 }),
      async (changes) => {
        const hostile = Buffer.from(bytes);
        for (const [at, byte] of changes) hostile[at] = byte;
        writeFileSync(path, hostile);
        try {
          await using archive = await openArchive(path);
          for (const each of archive.manifest.files) {
            const target = join(folder, 'fuzz', each.sha256);
            await archive.extract(each, target);
            assert.equal(createHash('sha256').update(readFileSync(target)).digest('hex'), each.sha256);
          }
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
          assert.match(error.code, /^builder\/(archive|lock)-invalid$/);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('locks of an archive answer the request that they were made for, and no other', async () => {
  await using archive = await openArchive(await write());
  const locks = new ArchivedLocks(archive, { all: [], whole: {} } as unknown as Stages);
  const wanted = (name: string, ...request: string[]) => ({
    file: name,
    request: async () => request,
    resolve: async () => assert.fail('the mirror is not asked'),
  });
  assert.deepEqual(await locks.obtain(wanted('trixie/root-production', 'trixie', 'systemd')), lock);
  assert.deepEqual([...locks.locks.keys()], ['trixie/root-production']);
  await assert.rejects(locks.obtain(wanted('trixie/root-production', 'trixie', 'systemd', 'nano')), {
    code: 'builder/archive-mismatch',
    message: /nano/,
  });
  await assert.rejects(locks.obtain(wanted('trixie/root-development', 'trixie')), {
    code: 'builder/archive-mismatch',
    message: /qemu-arm64-production and has no lock trixie\/root-development/,
  });
});

test('an archive replaces a file, and nothing else', async () => {
  const path = await write();
  await writeArchive(path, manifest, files);
  const place = join(folder, 'a-folder');
  mkdirSync(place);
  for (const target of [place, '/dev/null'])
    await assert.rejects(writeArchive(target, manifest, files), { code: 'builder/archive-unwritable' });
  assert.deepEqual(readdirSync(place), []);
});
