// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type RawEntry, rawTar } from '../testing/tar.ts';
import { listTree, unpackTars } from '../testing/unpack.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-tree-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const names = (...layers: RawEntry[][]): Promise<string[]> =>
  unpackTars(
    layers.map((entries) => rawTar(entries)),
    listTree,
  );

test('a later layer lies over an earlier one', async () => {
  assert.deepEqual(
    await names(
      [
        { name: 'a/', mode: 0o700 },
        { name: 'a/x', data: '1' },
        { name: 'a/y', data: '1' },
        { name: 'b', data: '1' },
      ],
      [{ name: 'a/x', data: '2' }, { name: 'b/' }, { name: 'b/z', data: '2' }],
    ),
    ['a/', 'a/x 2', 'a/y 1', 'b/', 'b/z 2'],
  );
});

test('a whiteout takes away what is below, and nothing of its own layer', async () => {
  const low = [
    { name: 'd/' },
    { name: 'd/old', data: '1' },
    { name: 'd/sub/deep', data: '1' },
    { name: 'e', data: '1' },
  ];
  assert.deepEqual(await names(low, [{ name: 'd/.wh.sub' }, { name: '.wh.e' }]), ['d/', 'd/old 1']);
  // In whatever order: a folder that is made anew loses only what older layers had in it.
  const anew = [{ name: 'd/' }, { name: 'd/new', data: '2' }];
  assert.deepEqual(await names(low, [...anew, { name: '.wh.d' }]), ['d/', 'd/new 2', 'e 1']);
  assert.deepEqual(await names(low, [{ name: '.wh.d' }, ...anew]), ['d/', 'd/new 2', 'e 1']);
  assert.deepEqual(await names(low, [{ name: 'd/new', data: '2' }, { name: 'd/.wh..wh..opq' }]), [
    'd/',
    'd/new 2',
    'e 1',
  ]);
  assert.deepEqual(
    await names(low, [{ name: '.wh.nothing' }, { name: 'no/.wh.x' }, { name: '.wh..wh.aufs' }]),
    ['d/', 'd/old 1', 'd/sub/', 'd/sub/deep 1', 'e 1'],
  );
});

test('links are followed within the root, and lead nowhere else', async () => {
  assert.deepEqual(
    await names(
      [
        { name: 'usr/lib/' },
        { name: 'lib', kind: '2', link: 'usr/lib' },
        { name: 'out', kind: '2', link: '../../../usr' },
        { name: 'opt/deep/abs', kind: '2', link: '/usr/lib' },
      ],
      [
        { name: 'lib/x', data: 'x' },
        { name: 'out/y', data: 'y' },
        { name: '/usr/z', data: 'z' },
        { name: 'opt/deep/abs/w', data: 'w' },
      ],
    ),
    [
      'lib -> usr/lib',
      'opt/',
      'opt/deep/',
      'opt/deep/abs -> /usr/lib',
      'out -> ../../../usr',
      'usr/',
      'usr/lib/',
      'usr/lib/w w',
      'usr/lib/x x',
      'usr/y y',
      'usr/z z',
    ],
  );
});

test('hard links share a file, also over layers, until a layer replaces one of them', async () => {
  const low = [
    { name: 'a', data: '1' },
    { name: 'b', kind: '1', link: 'a' },
    { name: 'c', kind: '1', link: './b' },
  ];
  await unpackTars(
    [
      rawTar(low),
      rawTar([
        { name: 'd', kind: '1', link: 'a' },
        { name: 'a', data: '2' },
      ]),
    ],
    (tree) => {
      const inode = (path: string) => tree.exact(path)?.inode;
      assert.equal(inode('b'), inode('c'));
      assert.equal(inode('b'), inode('d'));
      assert.notEqual(inode('a'), inode('b'));
    },
  );
});

for (const format of ['gnu', 'pax', 'oldgnu', 'posix --sparse-version=0.0', 'posix --sparse-version=0.1'])
  test(`GNU tar's archives are read: long names, sparse files, hard links (${format})`, async () => {
    const work = mkdtempSync(join(folder, 'gnu-'));
    const deep = join(work, 'x'.repeat(120), 'y'.repeat(120));
    mkdirSync(deep, { recursive: true });
    const file = openSync(join(work, 'sparse'), 'w');
    // More pieces than a header of the old format has room for.
    for (let i = 0; i < 30; i += 1) writeSync(file, `piece ${i}`, i * 65_536);
    ftruncateSync(file, 30 * 65_536 + 7);
    closeSync(file);
    linkSync(join(work, 'sparse'), join(deep, 'same'));
    symlinkSync('z'.repeat(150), join(deep, 'link'));
    writeFileSync(join(work, 'ü'), 'umlaut');
    const args = [`--format=${format}`.split(' '), '-S', '-C', work, '-cf', '-', '.'].flat();
    const tar = execFileSync('tar', args, { maxBuffer: 1 << 26 });
    await unpackTars([tar], (tree, spool) => {
      const sparse = tree.find('/sparse');
      assert.ok(sparse);
      const expected = Buffer.alloc(30 * 65_536 + 7);
      for (let i = 0; i < 30; i += 1) expected.write(`piece ${i}`, i * 65_536);
      assert.ok(spool.read(sparse.inode.content).equals(expected));
      const below = `/${'x'.repeat(120)}/${'y'.repeat(120)}`;
      assert.equal(tree.exact(`${below}/same`)?.inode, sparse.inode);
      assert.equal(tree.exact(`${below}/link`)?.inode.link, 'z'.repeat(150));
      assert.ok(tree.find('/ü'));
    });
  });
