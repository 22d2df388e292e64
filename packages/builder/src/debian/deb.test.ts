// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { readAr, readDeb } from './deb.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-deb-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const makeDeb = (compression: string): string => {
  const work = join(folder, `package-${compression}`);
  mkdirSync(join(work, 'DEBIAN'), { recursive: true });
  mkdirSync(join(work, 'usr/bin'), { recursive: true });
  writeFileSync(join(work, 'usr/bin/hello'), '#!/bin/sh\n', { mode: 0o755 });
  const control =
    'Package: hello\nVersion: 1.2-3\nArchitecture: all\nMaintainer: A <a@b>\nDescription: one\n two\n';
  writeFileSync(join(work, 'DEBIAN/control'), control);
  writeFileSync(join(work, 'DEBIAN/postinst'), '#!/bin/sh\necho hi\n');
  chmodSync(join(work, 'DEBIAN/postinst'), 0o755);
  const path = join(folder, `${compression}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', `-Z${compression}`, '-b', work, path], { stdio: 'pipe' });
  return path;
};

for (const compression of ['xz', 'zstd', 'gzip', 'none'])
  test(`a package of dpkg-deb with ${compression} is read`, async () => {
    const deb = await readDeb(makeDeb(compression), 'hello.deb');
    assert.equal(deb.control.get('Version'), '1.2-3');
    assert.equal(deb.control.get('Description'), 'one\ntwo');
    assert.equal(deb.scripts.get('postinst')?.toString(), '#!/bin/sh\necho hi\n');
    const hello = deb.files.find(({ path }) => path === 'usr/bin/hello');
    assert.deepEqual([hello?.mode, hello?.user, hello?.data.toString()], [0o755, 'root', '#!/bin/sh\n']);
  });

test('a damaged package is named, with what to do', async () => {
  const path = makeDeb('xz');
  const bytes = readFileSync(path);
  bytes[bytes.length - 40] = (bytes[bytes.length - 40] ?? 0) ^ 0xff;
  writeFileSync(path, bytes);
  await assert.rejects(readDeb(path, 'hello_1.2-3_all.deb'), (error) => {
    assert.ok(error instanceof MblError);
    assert.equal(error.code, 'builder/bad-archive');
    assert.match(error.message, /hello_1\.2-3_all\.deb/);
    assert.ok(error.remedy?.includes(path));
    return true;
  });
});

test('whatever the bytes, only our error comes out', () => {
  const good = readFileSync(makeDeb('none'));
  const fine = (bytes: Buffer): void => {
    try {
      readAr(bytes);
    } catch (error) {
      assert.ok(error instanceof MblError, String(error));
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) =>
      fine(Buffer.concat([Buffer.from('!<arch>\n'), bytes])),
    ),
  );
  fc.assert(
    fc.property(
      fc.nat({ max: good.length - 1 }),
      fc.nat({ max: 255 }),
      fc.nat({ max: good.length }),
      (at, value, end) => {
        const changed = Buffer.from(good);
        changed[at] = value;
        fine(changed.subarray(0, end));
      },
    ),
  );
});
