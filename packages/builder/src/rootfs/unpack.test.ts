// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeDeb } from './testing/make-deb.ts';
import { loadUnpacked, storeUnpacked, unpackPackages } from './unpack.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-unpack-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const policy = {
  users: {},
  groups: {},
  scaffolding: ['setup-tool'],
  trim: ['usr/share/doc/'],
  links: {},
  modes: {},
  reviewed: {},
};
const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: a
License: MIT

Files: x
License: GPL-2+
 text
`;
const one = makeDeb(folder, {
  name: 'one',
  files: {
    'usr/bin/tool': 'x',
    'lib/old.so': 'y',
    'usr/share/doc/one/copyright': copyright,
    'usr/link': '-> bin/tool',
    'var/lib/one/': '',
  },
  modes: { 'usr/bin/tool': 0o4755 },
});

test('packages are trimmed, usr-merged, without setuid, with licences; scaffolding stays out', async () => {
  const setup = makeDeb(folder, {
    name: 'setup-tool',
    files: { 'usr/sbin/setup': 'x' },
    scripts: { postinst: '#!/bin/sh\nrm -rf /\n' },
  });
  const { tree, components } = await unpackPackages([one, setup], policy);
  assert.equal(tree.get('usr/bin/tool')?.mode, 0o755);
  assert.equal(tree.get('usr/lib/old.so')?.data.toString(), 'y');
  assert.equal(tree.get('usr/link')?.link, 'bin/tool');
  for (const path of ['usr/share/doc', 'usr/share/doc/one/copyright', 'usr/sbin/setup', 'lib'])
    assert.equal(tree.get(path), undefined);
  assert.deepEqual(components, [
    {
      type: 'library',
      name: 'one',
      version: '1.0-1',
      licences: ['GPL-2+', 'MIT'],
      purl: 'pkg:deb/debian/one@1.0-1?arch=arm64',
      hashes: { 'SHA-256': one.sha256 },
      sources: [{ type: 'source-distribution', url: 'pkg:deb/debian/origin@1.0?arch=source' }],
    },
  ]);
});

test('a package that shares the documentation of another one has its licences, also when that one stays out', async () => {
  const documented = makeDeb(folder, {
    name: 'setup-tool',
    files: { 'usr/share/doc/setup-tool/copyright': copyright },
  });
  const linked = makeDeb(folder, {
    name: 'linked',
    files: { 'usr/bin/linked': 'x', 'usr/share/doc/linked': '-> further' },
  });
  const further = makeDeb(folder, {
    name: 'further',
    files: { 'usr/share/doc/further/copyright': '-> ../setup-tool/copyright' },
  });
  const circle = makeDeb(folder, { name: 'circle', files: { 'usr/share/doc/circle': '-> circle' } });
  const { components } = await unpackPackages([linked, further, documented, circle], policy);
  assert.deepEqual(
    components.map(({ name, licences }) => [name, licences]),
    [
      ['circle', []],
      ['further', ['GPL-2+', 'MIT']],
      ['linked', ['GPL-2+', 'MIT']],
    ],
  );
});

test('two packages with one file, and a script that nobody read, stop the build', async () => {
  const twin = makeDeb(folder, { name: 'twin', files: { 'usr/bin/tool': 'z' } });
  await assert.rejects(unpackPackages([one, twin], policy), {
    code: 'builder/path-conflict',
    message: /package one.*package twin/,
  });
  const scripted = makeDeb(folder, {
    name: 'scripted',
    files: {},
    scripts: { preinst: '#!/bin/sh\nuseradd x\n' },
  });
  await assert.rejects(unpackPackages([scripted], policy), {
    code: 'builder/unreviewed-script',
    message: /preinst of package scripted/,
  });
});

test('what is stored is loaded again', async () => {
  const unpacked = await unpackPackages([one], policy);
  await storeUnpacked(unpacked, join(folder, 'store'));
  const loaded = await loadUnpacked(join(folder, 'store'));
  assert.deepEqual(
    loaded.tree.entries().map((entry) => ({ ...entry, data: entry.data.toString() })),
    unpacked.tree.entries().map((entry) => ({ ...entry, data: entry.data.toString() })),
  );
  assert.deepEqual(loaded.components, unpacked.components);
});
