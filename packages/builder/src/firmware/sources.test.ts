// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkSource } from './sources.ts';

const [old, other] = ['a'.repeat(64), 'b'.repeat(64)];
const dsc = `-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Format: 3.0 (quilt)
Source: u-boot
Binary: u-boot
Version: 2024.01-1
Checksums-Sha256:
 ${old} 10 u-boot_2024.01.orig.tar.xz
Files:
 00 10 u-boot_2024.01.orig.tar.xz

-----BEGIN PGP SIGNATURE-----
`;
const lock = (version: string, sha256: string) => ({
  name: 'u-boot',
  version,
  suite: 'sid',
  files: [
    { path: 'pool/u-boot_1.dsc', sha256: 'c'.repeat(64), size: 1 },
    { path: 'pool/u-boot_2024.01.orig.tar.xz', sha256, size: 10 },
  ],
});

test('a lock that names another version than its files are, or other files, is refused', () => {
  checkSource(lock('2024.01-1', old), dsc);
  const code = 'builder/lock-invalid';
  assert.throws(() => checkSource(lock('2026.01-1', old), dsc), {
    code,
    message: /they say u-boot 2024\.01-1/,
  });
  assert.throws(() => checkSource(lock('2024.01-1', other), dsc), { code });
  assert.throws(() => checkSource(lock('2024.01-1', old), 'nothing'), { code });
});
