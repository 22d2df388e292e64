// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elf, type RawEntry, rawTar } from '../testing/tar.ts';
import { unpackTars } from '../testing/unpack.ts';
import { findAccount } from './accounts.ts';
import { composeRoot } from './compose.ts';
import { checkProgram } from './program.ts';

const users = [
  { name: 'etc/passwd', data: 'root:x:0:0::/:\nweb:x:1000:1001::/:\n' },
  { name: 'etc/group', data: 'root:x:0:\nweb:x:1001:\nmail:x:8:web,other\nvideo:x:44:other\n' },
];

test('who the process is follows from the image', async () => {
  await unpackTars([rawTar(users)], (tree, spool) => {
    const find = (text: string) => findAccount(tree, spool, text);
    assert.deepEqual(find(''), { uid: 0, gid: 0, groups: [] });
    assert.deepEqual(find('web'), { uid: 1000, gid: 1001, groups: [8] });
    assert.deepEqual(find('1000'), { uid: 1000, gid: 1001, groups: [8] });
    assert.deepEqual(find('web:video'), { uid: 1000, gid: 44, groups: [] });
    assert.deepEqual(find('7:8'), { uid: 7, gid: 8, groups: [] });
    assert.deepEqual(find('7'), { uid: 7, gid: 0, groups: [] });
    for (const wrong of ['nobody', 'web:nobody', '65535', '99999999'])
      assert.throws(() => find(wrong), { code: 'apps/unknown-user' });
  });
});

test('an account file that is a link out of the image is none', async () => {
  await unpackTars(
    [rawTar([{ name: 'etc/passwd', kind: '2', link: '../../../../etc/passwd' }])],
    (tree, spool) => {
      assert.throws(() => findAccount(tree, spool, 'root'), { code: 'apps/unknown-user' });
    },
  );
});

test('owners stay where there are several users, and are none where there is one', async () => {
  const tar = rawTar([
    { name: 'f', uid: 1000, gid: 1001, mode: 0o600 },
    { name: 'd/', mode: 0o2770 },
  ]);
  await unpackTars([tar], (tree) => {
    composeRoot(tree, { users: 'several', volumes: [] });
    const { uid, gid, mode } = tree.exact('f')?.inode ?? {};
    assert.deepEqual([uid, gid, mode, tree.exact('d')?.inode.mode], [1000, 1001, 0o600, 0o770]);
    composeRoot(tree, { users: 'one', volumes: [] });
    assert.deepEqual([tree.exact('f')?.inode.uid, tree.exact('f')?.inode.gid], [0, 0]);
  });
  await unpackTars([rawTar([{ name: 'f', uid: 65_535 }])], (tree) => {
    assert.throws(() => composeRoot(tree, { users: 'several', volumes: [] }), {
      code: 'apps/too-many-users',
    });
  });
});

test('what the device mounts over is there, whatever the image has in its place', async () => {
  const odd = [
    { name: 'tmp', kind: '2', link: 'var/tmp' },
    { name: 'proc', data: 'x' },
    { name: 'etc', kind: '2', link: 'usr/etc' },
    { name: 'run/secret', data: 'x' },
  ];
  await unpackTars([rawTar(odd)], (tree) => {
    composeRoot(tree, { users: 'one', volumes: ['/data/deep'] });
    for (const path of ['dev', 'proc', 'run', 'sys', 'tmp', 'etc', 'data/deep'])
      assert.equal(tree.exact(path)?.inode.type, 'directory', path);
    assert.equal(tree.exact('etc/resolv.conf')?.inode.type, 'file');
    assert.equal(tree.exact('run/secret'), undefined);
  });
  await unpackTars([rawTar([{ name: 'data', kind: '2', link: 'srv' }])], (tree) => {
    assert.throws(() => composeRoot(tree, { users: 'one', volumes: ['/data/x'] }), {
      code: 'apps/bad-volume',
    });
  });
});

test('the program is there, may be executed, and is one for the device', async () => {
  const check = async (entries: readonly RawEntry[], command: string, environment: readonly string[] = []) =>
    await unpackTars([rawTar(entries)], (tree, spool) => checkProgram(tree, spool, [command], environment));
  const program = { name: 'usr/bin/p', data: elf(183), mode: 0o755 };
  await check([program, { name: 'bin', kind: '2', link: 'usr/bin' }], '/bin/p');
  await check([program], 'p');
  await check([{ ...program, name: 'opt/p' }], 'p', ['PATH=/bin:/opt']);
  const script = { name: 's', data: '#! /usr/bin/p -x\n', mode: 0o755 };
  await check([program, script], '/s');
  const refused = async (code: string, ...words: Parameters<typeof check>) =>
    await assert.rejects(check(...words), { code });
  await refused('apps/no-program', [program], '/bin/p');
  await refused('apps/no-program', [program], 'q');
  await refused('apps/no-program', [program], '/usr/bin');
  await refused('apps/no-program', [{ ...program, mode: 0o644 }], 'p');
  await refused('apps/no-program', [script], '/s');
  await refused('apps/wrong-architecture', [{ ...program, data: elf(62) }], 'p');
  await refused('apps/wrong-architecture', [{ ...program, data: elf(62) }, script], '/s');
});
