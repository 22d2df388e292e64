// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { makeAccounts } from './accounts.ts';
import { Tree } from './tree.ts';

const policy = { users: { messagebus: 101, sshd: 105 }, groups: { journal: 120 } };
const treeOf = (files: Readonly<Record<string, string>>): Tree => {
  const tree = new Tree();
  for (const [name, text] of Object.entries(files))
    tree.file(`usr/lib/sysusers.d/${name}.conf`, text, 'package test');
  return tree;
};
const base = {
  base: 'g shadow 42 -\ng nogroup 65534 -\nu root 0 - /root /bin/bash\nu sync 4:65534 - /bin /bin/sync\n',
};
const read = (tree: Tree, path: string): string => tree.get(path)?.data.toString() ?? '';

test('users and groups get their fixed numbers, in every order of the files', () => {
  const files = {
    ...base,
    z: '# bus\nu messagebus - "System Message Bus" /nonexistent\nu! sshd -:nogroup "sshd user" /run/sshd\ng journal - -\nm messagebus journal\n',
  };
  const tree = treeOf(files);
  const owners = makeAccounts(tree, policy, [
    { name: 'app', id: 2000, groups: ['journal'], home: '/data/app' },
  ]);
  assert.equal(
    read(tree, 'etc/passwd'),
    [
      'root:x:0:0::/root:/bin/sh',
      'sync:x:4:65534::/bin:/bin/sync',
      'messagebus:x:101:101:System Message Bus:/nonexistent:/usr/sbin/nologin',
      'sshd:x:105:65534:sshd user:/run/sshd:/usr/sbin/nologin',
      'app:x:2000:2000::/data/app:/usr/sbin/nologin',
      '',
    ]
      .join('\n')
      .replace('root:x:0:0::', 'root:x:0:0:root:'),
  );
  assert.match(read(tree, 'etc/group'), /^journal:x:120:app,messagebus$/m);
  assert.match(read(tree, 'etc/shadow'), /^root:\*:1:/m);
  assert.equal(tree.get('etc/shadow')?.mode, 0o640);
  assert.equal(owners.users.get('app'), 2000);
  const reversed = treeOf(
    Object.fromEntries(
      Object.entries(files)
        .toReversed()
        .map(([name, text], i) => [`${i}${name}`, text]),
    ),
  );
  makeAccounts(reversed, policy, [{ name: 'app', id: 2000, groups: ['journal'], home: '/data/app' }]);
  for (const path of ['etc/passwd', 'etc/group', 'etc/shadow', 'etc/gshadow'])
    assert.equal(read(reversed, path), read(tree, path));
});

test('a name without a number stops the build and says where to give one', () => {
  assert.throws(() => makeAccounts(treeOf({ ...base, x: '\nu polkitd - "x"\n' }), policy, []), {
    code: 'builder/unknown-id',
    message: /x\.conf:2.*"polkitd"/,
    remedy: /policy\.yaml/,
  });
  assert.throws(() => makeAccounts(treeOf(base), policy, [{ name: 'app', id: 2000, groups: ['audio'] }]), {
    code: 'builder/unknown-id',
    message: /"audio"/,
  });
});

test('what is not understood is refused, with its line', () => {
  for (const line of ['q name 1', 'u name /usr/bin/x', 'u na:me 5', 'g x 1234567'])
    assert.throws(() => makeAccounts(treeOf({ ...base, x: line }), policy, []), {
      code: /bad-sysusers|unknown-id/,
      message: /x\.conf:1/,
    });
});

test('no line makes anything but our error, or an account with a line break', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 80, unit: 'binary' }),
      fc.constantFrom('u ', 'g ', 'm ', ''),
      (text, kind) => {
        const tree = treeOf({ ...base, x: `${kind}${text}` });
        try {
          makeAccounts(tree, policy, []);
          for (const line of read(tree, 'etc/passwd').trimEnd().split('\n'))
            assert.equal(line.split(':').length, 7, JSON.stringify(text));
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
        }
      },
    ),
  );
});
