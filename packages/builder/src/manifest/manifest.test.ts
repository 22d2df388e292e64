// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TarEntry } from '@mbl/blocks';
import { type BillComponent, debianUrl, formatBill, readLicences } from '@mbl/formats';
import { describePackage } from '../materials/debian.ts';
import { describeNpm, repositoryUrl } from '../materials/npm.ts';

const component = (name: string, version = '1'): BillComponent => ({
  type: 'library',
  name,
  version,
  licences: ['MIT'],
  purl: debianUrl(name, version, 'arm64'),
  hashes: { 'SHA-256': '00' },
  sources: [{ type: 'source-distribution', url: debianUrl(name, version, 'source'), sha256: '11' }],
});

test('a manifest has each component once, in one order, with licence and source', () => {
  const image = { name: 'production', version: '1.0.0' };
  const text = formatBill({ type: 'operating-system', ...image }, [
    component('b'),
    component('a', '2'),
    component('b'),
  ]);
  assert.equal(
    formatBill({ type: 'operating-system', ...image }, [component('a', '2'), component('b')]),
    text,
  );
  assert.deepEqual(JSON.parse(text).components[1], {
    type: 'library',
    'bom-ref': 'pkg:deb/debian/b@1?arch=arm64',
    name: 'b',
    version: '1',
    licenses: [{ license: { name: 'MIT' } }],
    purl: 'pkg:deb/debian/b@1?arch=arm64',
    hashes: [{ alg: 'SHA-256', content: '00' }],
    externalReferences: [
      {
        type: 'source-distribution',
        url: 'pkg:deb/debian/b@1?arch=source',
        hashes: [{ alg: 'SHA-256', content: '11' }],
      },
    ],
  });
});

test('the sources of a package are its own and those that are built into it', async () => {
  const control = new Map([
    ['Architecture', 'arm64'],
    ['Built-Using', 'linux (= 6.12-1), glibc (= 2:2.41-1)'],
  ]);
  const deb = { control, scripts: new Map<string, Buffer>(), files: [] as TarEntry[] };
  const item = { name: 'linux-image', version: '6.12-1', sha256: '00', source: 'linux-signed 6.12+1' };
  const { sources, licences } = await describePackage(item, deb, () => Promise.resolve(undefined));
  assert.deepEqual(licences, []);
  assert.deepEqual(
    sources.map(({ url }) => url),
    ['linux-signed@6.12%2B1', 'linux@6.12-1', 'glibc@2%3A2.41-1'].map(
      (each) => `pkg:deb/debian/${each}?arch=source`,
    ),
  );
});

test('licences are those of a machine-readable file, of the texts pointed at, or those named', () => {
  const format = 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/';
  assert.deepEqual(readLicences(`${format}\n\nFiles: *\nLicense: Zlib\n\nFiles: x\nLicense: MIT\n a\n`), [
    'MIT',
    'Zlib',
  ]);
  assert.deepEqual(readLicences("in `/usr/share/common-licenses/GPL-2'. 3-clause BSD"), ['GPL-2']);
  const named = `The license is the GNU Lesser General Public
License, version 2.1 (or, at your option, any later version); some files
are under the GNU General Public License version 3; others: 3-clause
BSD. The texts are in /usr/share/common-licenses/ .`;
  assert.deepEqual(readLicences(named), ['BSD-3-clause', 'GPL-3', 'LGPL-2.1+']);
});

test("a repository is found in every form of npm's", () => {
  for (const form of [
    'git@example.org:a/b.git',
    'git+ssh://git@example.org/a/b.git',
    'git+https://example.org/a/b.git',
    'git://example.org/a/b.git',
    'https://example.org/a/b',
  ])
    assert.equal(repositoryUrl(form), 'https://example.org/a/b', form);
  for (const form of ['a/b', 'github:a/b']) assert.equal(repositoryUrl(form), 'https://github.com/a/b', form);
  for (const form of ['', 'b', '../b', 'file:///a/b']) assert.equal(repositoryUrl(form), undefined, form);
  const { sources } = describeNpm({ name: 'b', version: '1', repository: { url: 'a/b' } }, '');
  assert.deepEqual(sources, [{ type: 'vcs', url: 'https://github.com/a/b' }]);
  assert.deepEqual(describeNpm({ name: 'b', version: '1' }, '').sources, []);
});
