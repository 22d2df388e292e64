// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { checkLibraries, readElf } from './elf.ts';
import { Tree } from './tree.ts';

const PROGRAMS = ['/usr/bin/ls', '/usr/bin/ssh', '/usr/bin/openssl', '/usr/lib/apt/methods/http'];

for (const path of PROGRAMS)
  test(`${path}: the libraries that readelf sees`, () => {
    const shown = execFileSync('readelf', ['-d', '-l', '-W', path]).toString();
    const needed = [...shown.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name]) => name);
    const elf = readElf(readFileSync(path));
    assert.deepEqual(elf?.needed, needed);
    assert.ok(needed.length > 0);
    assert.equal(elf?.interpreter, /interpreter: (.+)\]/.exec(shown)?.[1]);
  });

const program = readFileSync('/usr/bin/ls');
const treeWith = (libraries: readonly string[]): Tree => {
  const tree = new Tree();
  tree.file('usr/bin/ls', program, 'package coreutils', 0o755);
  tree.symlink('lib64', 'usr/lib/x86_64-linux-gnu', 'test');
  for (const name of libraries) tree.file(`usr/lib/x86_64-linux-gnu/${name}`, 'x', 'test');
  return tree;
};
const needed = readElf(program)?.needed ?? [];

test('a missing library or loader stops the build, all of them named', () => {
  checkLibraries(treeWith([...needed, 'ld-linux-x86-64.so.2']), 'amd64');
  assert.throws(
    () => checkLibraries(treeWith(needed.slice(1)), 'amd64'),
    (error) => {
      assert.ok(error instanceof MblError);
      assert.equal(error.code, 'builder/missing-library');
      assert.ok(error.message.includes(`/usr/bin/ls (package coreutils) needs ${needed[0]}`));
      assert.ok(error.message.includes('ld-linux-x86-64.so.2'));
      return true;
    },
  );
});

test('a program of another architecture is refused', () => {
  assert.throws(() => checkLibraries(treeWith(needed), 'arm64'), {
    code: 'builder/missing-library',
    message: /not made for arm64/,
  });
});

test('whatever the bytes, only our error comes out', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 2000 }),
      fc.uint8Array({ maxLength: 16 }),
      fc.nat({ max: program.length }),
      (at, bytes, end) => {
        const changed = Buffer.from(program);
        changed.set(bytes, at);
        try {
          readElf(changed.subarray(0, end));
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
        }
      },
    ),
  );
});
