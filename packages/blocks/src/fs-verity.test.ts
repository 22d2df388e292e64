// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsVerityHasher } from './fs-verity.ts';

/** What `fsverity digest` of fsverity-utils 1.5 says of files of these sizes, whose every 997th byte is seven times its place. */
const known: Readonly<Record<number, string>> = {
  0: '3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95',
  1: 'b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551',
  4095: '7871fbdd7c263e633390f87aab53acac2815f2d2888b685b71dbe7d4b4d6b596',
  4096: '1de7a201457c81bcea512166eae6b119d0e7cb558a0e8a32cb29e64e91ec9c98',
  4097: 'cc38b0cabf7fdcfce88863587eef3028e8df32f1b533d177f2ba856a63b4f73b',
  524288: '7e3a4715f269a892198e7336bdf6568e77981c024842c9494f1359fba18d5b9c',
  524289: '3228a8f076e1591852ffdeb63016532990fb9eb78b9ab1aa620b83d6796f0e65',
  1048581: 'd9b10bc9b69a393b332e9470b692f0bc9a2a820917950990cb49c90af4bd488c',
};

test('the digest of a file is the one that the kernel measures', () => {
  for (const [size, digest] of Object.entries(known)) {
    const bytes = Buffer.alloc(Number(size));
    for (let i = 0; i < bytes.length; i += 997) bytes[i] = (i * 7) & 255;
    const hasher = new FsVerityHasher();
    hasher.update(bytes.subarray(0, 1000));
    hasher.update(bytes.subarray(1000));
    assert.equal(hasher.finish(), digest, `${size} bytes`);
  }
});
