// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawTar } from '../testing/tar.ts';
import { unpackTars } from '../testing/unpack.ts';
import { findPackages } from './packages.ts';

const status = `Package: libc6
Status: install ok installed
Architecture: arm64
Multi-Arch: same
Source: glibc (2.41-1)
Version: 2.41-1+b1
Description: GNU C Library
 Package: not-one

Package: gone
Status: deinstall ok config-files
Version: 1

Package: zlib1g
Status: install ok installed
Architecture: arm64
Version: 1:1.3
`;

test("dpkg's packages are in the bill, with their licences and sources; those that were taken out are not", async () => {
  const found = await unpackTars(
    [
      rawTar([
        { name: 'var/lib/dpkg/status', data: status },
        {
          name: 'usr/share/doc/zlib1g/copyright',
          data: 'Format: x/copyright-format/1.0\n\nFiles: *\nLicense: Zlib\n',
        },
        { name: 'usr/lib/os-release', data: 'NAME="Ubuntu"\nID=ubuntu\n' },
        { name: 'etc/os-release', kind: '2', link: '../usr/lib/os-release' },
      ]),
    ],
    findPackages,
  );
  assert.deepEqual(found, [
    {
      type: 'library',
      name: 'libc6',
      version: '2.41-1+b1',
      licences: [],
      purl: 'pkg:deb/ubuntu/libc6@2.41-1%2Bb1?arch=arm64',
      hashes: {},
      sources: [{ type: 'source-distribution', url: 'pkg:deb/ubuntu/glibc@2.41-1?arch=source' }],
    },
    {
      type: 'library',
      name: 'zlib1g',
      version: '1:1.3',
      licences: ['Zlib'],
      purl: 'pkg:deb/ubuntu/zlib1g@1%3A1.3?arch=arm64',
      hashes: {},
      sources: [{ type: 'source-distribution', url: 'pkg:deb/ubuntu/zlib1g@1%3A1.3?arch=source' }],
    },
  ]);
});

test("apk's packages and dpkg's split status are found as well; nonsense is not", async () => {
  const apk =
    'C:Q1x=\nP:musl\nV:1.2.5-r9\nA:aarch64\nL:MIT\no:musl\n\nP:busy box\nV:1\n\nP:ssl_client\nV:1.37-r1\no:busybox\n';
  const found = await unpackTars(
    [
      rawTar([
        { name: 'lib/apk/db/installed', data: apk },
        {
          name: 'var/lib/dpkg/status.d/base',
          data: 'Package: base-files\nVersion: 13\nArchitecture: arm64\n',
        },
        { name: 'var/lib/dpkg/status.d/base.md5sums', data: 'Package: no\nVersion: 1\n' },
      ]),
    ],
    findPackages,
  );
  assert.deepEqual(
    found.map(({ purl, licences }) => [purl, licences]),
    [
      ['pkg:deb/debian/base-files@13?arch=arm64', []],
      ['pkg:apk/alpine/musl@1.2.5-r9?arch=aarch64', ['MIT']],
      ['pkg:apk/alpine/ssl_client@1.37-r1?arch=aarch64', []],
    ],
  );
});
