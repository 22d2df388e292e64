// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { readTar, safePath } from './read.ts';
import { type TarOutput, writeTar } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-tar-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const write = (entries: readonly TarOutput[]): Buffer => Buffer.concat([...writeTar(entries, 1000)]);
const entry = (path: string, data = ''): TarOutput => ({
  path,
  type: 'file',
  mode: 0o644,
  uid: 1,
  gid: 2,
  link: '',
  data: Buffer.from(data),
});

const name = fc.stringMatching(/^[a-zA-Z0-9ä._ -]{1,60}$/).filter((part) => part !== '.' && part !== '..');
const path = fc.array(name, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));

test('what is written is read again, long names and all', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          path,
          data: fc.uint8Array({ maxLength: 1500 }),
          mode: fc.integer({ min: 0, max: 0o7777 }),
          uid: fc.integer({ min: 0, max: 65_534 }),
        }),
        { maxLength: 8 },
      ),
      (files) => {
        const outputs = files.map((file) => ({ ...entry(file.path), ...file, data: Buffer.from(file.data) }));
        const found = readTar(write(outputs));
        assert.deepEqual(
          found.map(({ path, mode, uid, data }) => ({ path, mode, uid, data: Buffer.from(data) })),
          outputs.map(({ path, mode, uid, data }) => ({ path, mode, uid, data })),
        );
      },
    ),
    { numRuns: 60 },
  );
});

test('GNU tar reads what is written', () => {
  const long = `${'d'.repeat(90)}/${'e'.repeat(90)}`;
  const archive = join(folder, 'ours.tar');
  const link = { ...entry('link'), type: 'symlink' as const, link: `../${'t'.repeat(120)}` };
  const top = { ...entry(''), type: 'directory' as const, mode: 0o755 };
  writeFileSync(archive, write([top, entry(long, 'hello'), link]));
  assert.equal(
    execFileSync('tar', ['--numeric-owner', '--utc', '-tvf', archive]).toString(),
    [
      'drwxr-xr-x 1/2               0 1970-01-01 00:16 ./',
      `-rw-r--r-- 1/2               5 1970-01-01 00:16 ${long}`,
      `lrw-r--r-- 1/2               0 1970-01-01 00:16 link -> ${link.link}`,
      '',
    ].join('\n'),
  );
});

for (const format of ['gnu', 'pax', 'ustar'])
  test(`GNU tar's ${format} archives are read`, () => {
    const work = join(folder, format);
    const deep = join(work, 'x'.repeat(60), 'y'.repeat(60));
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, 'file'), 'content', { mode: 0o750 });
    symlinkSync('z'.repeat(format === 'ustar' ? 90 : 150), join(deep, 'link'));
    const args = [
      '-C',
      work,
      `--format=${format}`,
      '--owner=root',
      '--group=shadow',
      '--sort=name',
      '-cf',
      '-',
      '.',
    ];
    const found = readTar(execFileSync('tar', args));
    assert.deepEqual(
      found.map(({ path, type, data, group, link }) => [
        path.split('/').at(-1),
        type,
        data.toString(),
        group,
        link,
      ]),
      [
        ['', 'directory', '', 'shadow', ''],
        ['x'.repeat(60), 'directory', '', 'shadow', ''],
        ['y'.repeat(60), 'directory', '', 'shadow', ''],
        ['file', 'file', 'content', 'shadow', ''],
        ['link', 'symlink', '', 'shadow', 'z'.repeat(format === 'ustar' ? 90 : 150)],
      ],
    );
  });

test('paths that leave the archive are refused', () => {
  for (const bad of ['/etc/passwd', '../x', 'a/../../b', 'a\0b'])
    assert.throws(() => safePath(bad), { code: 'blocks/bad-archive' });
  assert.equal(safePath('./a//b/./c/'), 'a/b/c');
});

test('whatever the bytes, only our error comes out', () => {
  const good = write([
    entry('a/b', 'x'.repeat(700)),
    { ...entry(`long/${'n'.repeat(200)}`), type: 'symlink', link: 'q' },
  ]);
  const fine = (bytes: Buffer): void => {
    try {
      for (const { path } of readTar(bytes))
        assert.ok(!path.startsWith('/') && !path.split('/').includes('..'));
    } catch (error) {
      assert.ok(error instanceof MblError, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2048 }), (bytes) => fine(Buffer.from(bytes))));
  fc.assert(
    fc.property(
      fc.nat({ max: good.length - 1 }),
      fc.nat({ max: 255 }),
      fc.nat({ max: good.length }),
      (at, value, end) => {
        const changed = Buffer.from(good.subarray(0, end));
        if (at < changed.length) changed[at] = value;
        // A changed header gets its checksum right, so that what is behind the check is reached too.
        for (let start = 0; start + 512 <= changed.length; start += 512) {
          changed.fill(' ', start + 148, start + 156);
          let sum = 0;
          for (const byte of changed.subarray(start, start + 512)) sum += byte;
          changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, start + 148, 'latin1');
        }
        fine(changed);
      },
    ),
  );
});
