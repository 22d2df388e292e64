// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matcher } from './globs.ts';
import { type Entry, type Owners, Tree } from './tree.ts';

const entry = (path: string, more: Partial<Entry> = {}): Entry => ({
  path,
  type: 'file',
  mode: 0o644,
  user: 'root',
  group: 'root',
  link: '',
  data: Buffer.alloc(0),
  from: 'package a',
  ...more,
});
const owners: Owners = {
  users: new Map([['root', 0]]),
  groups: new Map([
    ['root', 0],
    ['shadow', 42],
  ]),
};

test('two packages with one path are a conflict, with one folder they are not', () => {
  const tree = new Tree();
  tree.add(entry('etc', { type: 'directory' }));
  tree.add(entry('etc', { type: 'directory', from: 'package b' }));
  tree.add(entry('etc/x'));
  assert.throws(() => tree.add(entry('etc/x', { from: 'package b' })), {
    code: 'builder/path-conflict',
    message: /\/etc\/x comes from package a .* and from package b/,
  });
});

test('a folder laid over wins, but never turns a directory into a file or goes through a link', () => {
  const tree = new Tree([
    entry('usr/lib', { type: 'directory' }),
    entry('lib', { type: 'symlink', link: 'usr/lib' }),
  ]);
  tree.file('etc/a', '1', 'base');
  tree.file('etc/a', '2', 'layer');
  assert.equal(tree.get('etc/a')?.data.toString(), '2');
  assert.throws(() => tree.file('etc', 'x', 'layer'), { code: 'builder/path-conflict' });
  assert.throws(() => tree.file('lib/x', 'x', 'layer'), {
    code: 'builder/path-conflict',
    message: /\/lib is a symlink/,
  });
});

test('the root comes first with mode 0755, parents before children, hard links last', () => {
  const tree = new Tree([
    entry('b/hard', { type: 'hardlink', link: 'z' }),
    entry('z', { group: 'shadow' }),
    entry('a/b/c'),
  ]);
  const output = tree.output(owners);
  assert.deepEqual(
    output.map(({ path, type, mode, gid }) => [path, type, mode.toString(8), gid]),
    [
      ['', 'directory', '755', 0],
      ['a', 'directory', '755', 0],
      ['a/b', 'directory', '755', 0],
      ['a/b/c', 'file', '644', 0],
      ['b', 'directory', '755', 0],
      ['z', 'file', '644', 42],
      ['b/hard', 'hardlink', '644', 0],
    ],
  );
});

test('an owner without a number is refused', () => {
  assert.throws(() => new Tree([entry('x', { user: 'nobody-knows' })]).output(owners), {
    code: 'builder/unknown-id',
    message: /\/x \(package a\).*"nobody-knows"/,
  });
  assert.equal(new Tree([entry('x', { user: '7' })]).output(owners)[1]?.uid, 7);
});

test('links lead where the kernel would go, and a circle nowhere', () => {
  const tree = new Tree([
    entry('lib', { type: 'symlink', link: 'usr/lib' }),
    entry('usr/lib', { type: 'directory' }),
    entry('usr/lib/x.so', { type: 'symlink', link: '../../opt/./real.so' }),
    entry('opt/real.so', { type: 'symlink', link: '/usr/final.so' }),
    entry('usr/final.so'),
    entry('loop', { type: 'symlink', link: 'loop' }),
  ]);
  assert.equal(tree.resolve('lib/x.so')?.path, 'usr/final.so');
  assert.equal(tree.resolve('loop'), undefined);
  assert.equal(tree.resolve('usr/nothing'), undefined);
});

test('globs: one part, any depth, whole folders', () => {
  const fits = matcher(['usr/share/doc/', 'usr/bin/perl*', 'a/**/z', 'x.y']);
  for (const path of ['usr/share/doc', 'usr/share/doc/a/b', 'usr/bin/perl5.40', 'a/b/c/z', 'x.y'])
    assert.ok(fits(path), path);
  for (const path of ['usr/share/docs', 'usr/bin/a/perl', 'usr/bin/xperl', 'xzy', 'a/z'])
    assert.ok(!fits(path), path);
  assert.ok(!matcher([])(''));
});
