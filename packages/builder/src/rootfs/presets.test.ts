// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { applyPresets } from './presets.ts';
import { Tree } from './tree.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-presets-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const none = { enable: [], disable: [], mask: [] };
const units = 'usr/lib/systemd/system';
const install = (lines: string): string =>
  `[Unit]\nDescription=x\n[Service]\nExecStart=/x\n[Install]\n${lines}\n`;
const files: Readonly<Record<string, string>> = {
  [`${units}/a.service`]: install('WantedBy=multi-user.target basic.target\nAlias=dbus-a.service'),
  [`${units}/b.service`]: install('WantedBy=multi-user.target'),
  [`${units}/c.socket`]: '[Socket]\nListenStream=1\n[Install]\nRequiredBy=sockets.target\n',
  [`${units}/t@.service`]: install('WantedBy=multi-user.target\nDefaultInstance=one'),
  [`${units}/plain@.service`]: install('WantedBy=multi-user.target'),
  [`${units}/static.service`]: '[Service]\nExecStart=/x\n',
  [`${units}/u.service`]: install('UpheldBy=multi-user.target\nWantedBy=multi-user.target'),
  'usr/lib/systemd/system-preset/10-x.preset':
    '# comment\nenable a.service\nenable [c-u]*\nenable c.socket\nenable t@.service\n',
  'usr/lib/systemd/system-preset/50-y.preset':
    'disable a.service\nenable u.*\nenable static.service\ndisable *\n',
};

const treeOf = (): Tree => {
  const tree = new Tree();
  for (const [path, text] of Object.entries(files)) tree.file(path, text, 'test');
  return tree;
};

const links = (tree: Tree): Record<string, string> =>
  Object.fromEntries(
    tree
      .entries()
      .filter(({ path, type }) => type === 'symlink' && path.startsWith('etc/'))
      .map(({ path, link }) => [path, link]),
  );

test('the links are those of systemctl preset-all', () => {
  const root = join(folder, 'root');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  execFileSync('systemctl', [`--root=${root}`, '--preset-mode=full', 'preset-all'], { stdio: 'pipe' });
  const theirs: Record<string, string> = {};
  const etc = join(root, 'etc/systemd/system');
  for (const item of readdirSync(etc, { recursive: true, withFileTypes: true }))
    if (item.isSymbolicLink()) {
      const path = join(item.parentPath, item.name);
      theirs[path.slice(root.length + 1)] = readlinkSync(path);
    }
  const tree = treeOf();
  applyPresets(tree, none);
  const ours = links(tree);
  // An older systemctl than the image's does not know UpheldBy=.
  delete ours['etc/systemd/system/multi-user.target.upholds/u.service'];
  delete theirs['etc/systemd/system/multi-user.target.upholds/u.service'];
  assert.deepEqual(ours, theirs);
  assert.ok(Object.keys(ours).length >= 6);
});

test("the image's choice comes first; an instance and a mask are honoured", () => {
  const tree = treeOf();
  applyPresets(tree, {
    enable: ['b.service', 'plain@tty1.service'],
    disable: ['c.socket'],
    mask: ['a.service'],
  });
  const found = links(tree);
  assert.equal(found['etc/systemd/system/multi-user.target.wants/b.service'], `/${units}/b.service`);
  assert.equal(
    found['etc/systemd/system/multi-user.target.wants/plain@tty1.service'],
    `/${units}/plain@.service`,
  );
  assert.equal(found['etc/systemd/system/a.service'], '/dev/null');
  assert.ok(!('etc/systemd/system/sockets.target.requires/c.socket' in found));
  assert.ok(!('etc/systemd/system/multi-user.target.wants/a.service' in found));
});

test('a unit that nobody brings is an error', () => {
  assert.throws(() => applyPresets(treeOf(), { ...none, enable: ['sshd.service'] }), {
    code: 'builder/unknown-unit',
    message: /sshd\.service/,
  });
});
