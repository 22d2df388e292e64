// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { findMirrors, parseDeb822, parseOneLine } from './mirror.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-mirror-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
const etcApt = (files: Readonly<Record<string, string>>): string => {
  count += 1;
  const place = join(folder, String(count));
  mkdirSync(join(place, 'sources.list.d'), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(place, name), text);
  return place;
};

test('the mirrors are those of the deb822 sources, other vendors left out', async () => {
  const place = etcApt({
    'sources.list.d/a-vendor.sources':
      'Types: deb\nURIs: https://vendor.example/debian-packages\nSuites: stable\nComponents: main\n',
    'sources.list.d/debian.sources': `Types: deb deb-src
# a comment
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
`,
  });
  assert.deepEqual(await findMirrors({}, place), {
    main: 'http://mirror.example/debian',
    security: 'http://mirror.example/debian-security',
  });
});

test('one-line sources, options and comments; a disabled stanza does not count', async () => {
  const place = etcApt({
    'sources.list': `# deb http://old.example/debian bookworm main
deb-src http://src.example/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://one.example/debian bookworm main
`,
    'sources.list.d/off.sources': 'Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: sid\n',
  });
  assert.deepEqual(await findMirrors({}, place), {
    main: 'http://one.example/debian',
    security: 'http://one.example/debian-security',
  });
});

test('a list of mirrors in a file gives its first entry', async () => {
  const list = join(folder, 'list');
  writeFileSync(list, 'https://first.example/debian\nhttps://second.example/debian\n');
  const place = etcApt({
    'sources.list.d/d.sources': `Types: deb\nURIs: mirror+file://${list}\nSuites: trixie\nComponents: main\n`,
  });
  assert.equal((await findMirrors({}, place)).main, 'https://first.example/debian');
});

test('MBL_DEBIAN_MIRROR wins, and its security archive is beside it', async () => {
  const place = etcApt({ 'sources.list': 'deb http://one.example/debian bookworm main\n' });
  assert.deepEqual(await findMirrors({ MBL_DEBIAN_MIRROR: 'https://own.example/debian/' }, place), {
    main: 'https://own.example/debian',
    security: 'https://own.example/debian-security',
  });
  const both = {
    MBL_DEBIAN_MIRROR: 'https://own.example/d',
    MBL_DEBIAN_SECURITY_MIRROR: 'https://sec.example/s',
  };
  assert.equal((await findMirrors(both, place)).security, 'https://sec.example/s');
});

test('a snapshot is an archive at one time, with the security archive of that time beside it', async () => {
  const place = etcApt({ 'sources.list': 'deb http://one.example/debian bookworm main\n' });
  const MBL_DEBIAN_SNAPSHOT = 'https://old.example/x/archive/debian/20260601T000000Z/';
  const snapshot = {
    main: 'https://old.example/x/archive/debian/20260601T000000Z',
    security: 'https://old.example/x/archive/debian-security/20260601T000000Z',
  };
  assert.deepEqual(await findMirrors({ MBL_DEBIAN_SNAPSHOT }, place), {
    main: 'http://one.example/debian',
    security: 'http://one.example/debian-security',
    snapshot,
  });
  assert.deepEqual(await findMirrors({ MBL_DEBIAN_SNAPSHOT }, etcApt({})), { ...snapshot, snapshot });
  for (const wrong of [
    'https://old.example/archive/debian/',
    'https://old.example/archive/debian/2026',
    'ssh://old.example/archive/debian/20260601T000000Z',
    'https://old.example/" x/archive/debian/20260601T000000Z',
  ])
    await assert.rejects(findMirrors({ MBL_DEBIAN_SNAPSHOT: wrong }, place), {
      code: 'builder/no-debian-mirror',
      remedy: /SNAPSHOT|MIRROR/,
    });
});

test('without any mirror the error says what to set', async () => {
  const place = etcApt({ 'sources.list': 'deb http://archive.ubuntu.example/ubuntu noble main\n' });
  await assert.rejects(findMirrors({}, place), {
    code: 'builder/no-debian-mirror',
    remedy: /MBL_DEBIAN_MIRROR/,
  });
  await assert.rejects(findMirrors({ MBL_DEBIAN_MIRROR: 'ssh://x' }, place), {
    code: 'builder/no-debian-mirror',
  });
  await assert.rejects(findMirrors({ MBL_DEBIAN_MIRROR: 'http://x/" main' }, place), {
    code: 'builder/no-debian-mirror',
  });
});

test('no text of a sources file makes the parsers throw', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: 'binary' }), (text) => {
      parseOneLine(text);
      parseDeb822(text);
      parseDeb822(`Types: deb\nURIs: ${text}\n`);
    }),
  );
});
