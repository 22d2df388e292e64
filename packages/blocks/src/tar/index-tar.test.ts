// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { indexTar } from './index-tar.ts';
import { paddingAfter, plainHeader, plainHeaders, tarEnd, type TarOutput, writeTar } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-index-tar-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const index = async (bytes: Buffer, most = 8) =>
  await indexTar(
    {
      size: bytes.length,
      read: async (at, length) => await Promise.resolve(bytes.subarray(at, at + length)),
    },
    most,
  );
const entry = (path: string, more: Partial<TarOutput> = {}): TarOutput => ({
  ...{ path, type: 'file', mode: 0o644, uid: 0, gid: 0, link: '', data: Buffer.from(path) },
  ...more,
});
const tar = (...entries: TarOutput[]): Buffer => Buffer.concat([...writeTar(entries, 0)]);
const bad = { code: 'blocks/bad-archive' };
const long = `targets/os/components/${'a'.repeat(64)}/${'b'.repeat(64)}.root.payload`;

for (const format of ['ustar', 'pax', 'gnu'])
  test(`the files of GNU tar's ${format} archives are found where they are`, async () => {
    const work = join(folder, format);
    for (const path of ['release.txt', long, 'empty']) {
      mkdirSync(dirname(join(work, path)), { recursive: true });
      writeFileSync(join(work, path), path === 'empty' ? '' : path.repeat(20));
    }
    const bytes = execFileSync('tar', ['-C', work, `--format=${format}`, '-cf', '-', '.']);
    const files = await index(bytes);
    assert.deepEqual([...files.keys()].toSorted(), ['empty', 'release.txt', long]);
    for (const [path, { offset, size }] of files)
      assert.equal(bytes.toString('utf8', offset, offset + size), path === 'empty' ? '' : path.repeat(20));
  });

test('what is written piece by piece is what tar reads', async () => {
  const bytes = Buffer.concat([...plainHeaders(long, 512), Buffer.alloc(512, 'x'), tarEnd()]);
  writeFileSync(join(folder, 'pieces.tar'), bytes);
  assert.equal(execFileSync('tar', ['-tf', join(folder, 'pieces.tar')]).toString(), `${long}\n`);
  assert.deepEqual([...(await index(bytes)).keys()], [long]);
});

test('links, devices, paths that lead out, two of one name and too many are refused', async () => {
  const link = { type: 'symlink', link: '/etc/shadow' } as const;
  for (const hostile of [
    tar(entry('metadata/root.json', link)),
    tar(entry('a', { type: 'hardlink', link: 'b' })),
    tar(entry('../a')),
    tar(entry('/a')),
    tar(entry(`a/../${'b'.repeat(120)}/../../../c`)),
    tar(entry('a'), entry('./a')),
    tar(...Array.from({ length: 9 }, (_, at) => entry(`${at}`))),
    tar(...Array.from({ length: 20 }, (_, at) => entry(`d${at}`, { type: 'directory' }))),
    tar(entry('')),
    Buffer.alloc(0),
    tar(entry('a')).subarray(0, 700),
    tar(entry('a')).subarray(0, 1024),
    Buffer.concat([...plainHeaders('a', 2 ** 40), tarEnd()]),
    Buffer.from('x'.repeat(2048)),
  ])
    await assert.rejects(index(hostile), bad);
});

test('whatever bytes there are: files that lie inside, or a refusal', async () => {
  const good = tar(entry('a'), entry(long), entry('dir', { type: 'directory' }), entry('b'));
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: good.length - 1 }),
      fc.nat({ max: 255 }),
      fc.nat({ max: good.length }),
      async (at, value, end) => {
        const changed = Buffer.from(good.subarray(0, end));
        if (at < changed.length) changed[at] = value;
        for (let start = 0; start + 512 <= changed.length; start += 512) {
          changed.fill(' ', start + 148, start + 156);
          const sum = changed.subarray(start, start + 512).reduce((all, byte) => all + byte, 0);
          changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, start + 148, 'latin1');
        }
        try {
          for (const [path, { offset, size }] of await index(changed))
            assert.ok(offset + size <= changed.length && !path.split('/').includes('..'));
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
        }
      },
    ),
  );
});

test('headers that name nothing are not read without an end', async () => {
  const records = Buffer.from('6 a=b\n'.repeat(10_000));
  const extra = Buffer.concat([
    plainHeader('pax', records.length, 'x'),
    records,
    Buffer.alloc(paddingAfter(records.length)),
  ]);
  let read = 0;
  const source = {
    size: 2000 * extra.length,
    read: async (at: number, length: number) => {
      read += length;
      const from = at % extra.length;
      return await Promise.resolve(extra.subarray(from, from + length));
    },
  };
  await assert.rejects(indexTar(source, 1024), bad);
  assert.ok(read < 8 * 1024 * 1024, `${read} bytes`);
});
