// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { MblError } from '@mbl/trust';
import type { LockedPackage } from '../recipes/lock.ts';
import { parseSnapshot } from './mirror.ts';
import { downloadPackages, type PackageOptions, resolvePackages } from './packages.ts';
import { resolveSource } from './source.ts';
import { FakeKeys, FakeMirror, type FakePackage } from './testing/fake-mirror.ts';

const day = 24 * 3600 * 1000;
const ago = (days: number): Date => new Date(Date.now() - days * day);
const suite = 'trixie';
const old: FakePackage[] = [
  { name: 'app', version: '1.0-1', depends: 'lib (>= 1.0), helper' },
  { name: 'helper', version: '1.0-1' },
  { name: 'lib', version: '1.0-1' },
];

describe('resolving against a mirror', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'mbl-resolve-'));
  let keys: FakeKeys;
  let mirror: FakeMirror;
  let count = 0;

  before(() => {
    keys = new FakeKeys(folder);
    // As apt is by itself, whatever this machine's was told.
    const settings = join(folder, 'apt.conf');
    writeFileSync(settings, 'Dir::Etc::main "/dev/null";\nDir::Etc::parts "/dev/null";\n');
    process.env['APT_CONFIG'] = settings;
  });
  after(() => {
    delete process.env['APT_CONFIG'];
    keys.close();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async (t) => {
    count += 1;
    mkdirSync(join(folder, String(count)));
    mirror = new FakeMirror(join(folder, String(count)), keys);
    await mirror.start();
    if ('after' in t) t.after(() => mirror.close());
  });

  /** A cache and mirrors of this test; `snapshot` is a timestamp. */
  const options = (snapshot?: string, cache = String(count)): PackageOptions => ({
    cache: join(folder, `cache-${cache}`),
    keyring: keys.keyring,
    mirrors: {
      main: mirror.uri('/debian'),
      security: mirror.uri('/debian-security'),
      ...(snapshot === undefined
        ? {}
        : { snapshot: parseSnapshot(mirror.uri(`/archive/debian/${snapshot}`)) }),
    },
  });
  const resolve = async (
    packages: readonly string[],
    locked: readonly LockedPackage[] = [],
    using = options(),
  ): Promise<LockedPackage[]> => resolvePackages({ suite, architecture: 'arm64', packages }, using, locked);
  const versions = (packages: readonly LockedPackage[]): string =>
    packages.map(({ name, version }) => `${name} ${version}`).join(', ');

  test('one more package changes only what it needs, although everything is newer by now', async () => {
    mirror.publishStable('/debian', { name: suite, packages: old });
    const first = await resolve(['app']);
    assert.equal(versions(first), 'app 1.0-1, helper 1.0-1, lib 1.0-1');
    mirror.publishStable('/debian', {
      name: suite,
      packages: [
        { name: 'app', version: '2.0-1', depends: 'lib (>= 2.0)' },
        { name: 'helper', version: '2.0-1' },
        { name: 'lib', version: '2.0-1' },
        { name: 'extra', version: '3.0-1', depends: 'lib, helper' },
        { name: 'demanding', version: '4.0-1', depends: 'lib (>= 2.0)' },
      ],
    });
    assert.deepEqual(await resolve(['app'], first), first, 'the same request, the same answer');
    assert.equal(
      versions(await resolve(['app', 'extra'], first)),
      'app 1.0-1, extra 3.0-1, helper 1.0-1, lib 1.0-1',
    );
    assert.equal(
      versions(await resolve(['app', 'demanding'], first)),
      'app 1.0-1, demanding 4.0-1, helper 1.0-1, lib 2.0-1',
      'what it cannot do with is renewed, and nothing else',
    );
    assert.equal(versions(await resolve(['app'])), 'app 2.0-1, lib 2.0-1', 'without a lock: the newest');
  });

  test('what nobody needs any more goes, and what is asked for by name stays', async () => {
    mirror.publishStable('/debian', { name: suite, packages: [...old, { name: 'other', version: '1' }] });
    const first = await resolve(['app', 'other']);
    assert.equal(versions(await resolve(['other'], first)), 'other 1');
    assert.equal(versions(await resolve(['helper', 'other'], first)), 'helper 1.0-1, other 1');
    assert.deepEqual(await resolve(['app', 'other', 'helper'], first), first);
  });

  test('a conflict with what is locked is told', async () => {
    const rival = { name: 'rival', version: '1', conflicts: 'app' };
    mirror.publishStable('/debian', { name: suite, packages: [...old, rival] });
    await assert.rejects(resolve(['app', 'rival'], await resolve(['app'])), {
      code: 'builder/unmet-dependencies',
    });
  });

  test('a locked package that the index forgot is asked itself; when it is gone too, the ways out are named', async () => {
    mirror.publishStable('/debian', { name: suite, packages: old });
    const first = await resolve(['app']);
    const renewed = [
      { name: 'app', version: '2.0-1' },
      { name: 'extra', version: '1' },
    ];
    mirror.publishStable('/debian', { name: suite, packages: renewed });
    assert.equal(
      versions(await resolve(['app', 'extra'], first)),
      'app 1.0-1, extra 1, helper 1.0-1, lib 1.0-1',
      'its .deb is in the pool still, and says what it depends on',
    );
    mirror.clean('/debian', '1.0-1');
    await assert.rejects(resolve(['app', 'extra'], first, options(undefined, 'empty')), (error) => {
      assert.ok(error instanceof MblError);
      assert.equal(error.code, 'builder/download-missing');
      assert.match(error.message, /app_1\.0-1_arm64\.deb/);
      assert.match(error.remedy ?? '', /--update-lock.*MBL_DEBIAN_SNAPSHOT.*--from-archive/);
      return true;
    });
  });

  test('a snapshot brings the files that the mirror has no more, and no others', async () => {
    mirror.publishStable('/debian', { name: suite, packages: old });
    const locked = await resolve(['app']);
    mirror.publishStable('/archive/debian/20260101T000000Z', { name: suite, packages: old });
    mirror.clean('/debian', 'lib_1.0-1');
    const request = { suite, architecture: 'arm64' } as const;
    await assert.rejects(downloadPackages(locked, request, options(undefined, 'a')), {
      code: 'builder/download-missing',
      message: /lib_1\.0-1_arm64\.deb/,
    });
    mirror.asked.length = 0;
    const found = await downloadPackages(locked, request, options('20260101T000000Z', 'b'));
    assert.deepEqual([...found.keys()].toSorted(), ['app', 'helper', 'lib']);
    assert.ok(readFileSync(found.get('lib') ?? '').length > 0);
    assert.deepEqual(
      mirror.asked.filter((path) => path.startsWith('/archive')),
      ['/archive/debian/20260101T000000Z/pool/main/lib_1.0-1_arm64.deb'],
    );
  });

  test('a snapshot alone is enough, when there is no mirror any more', async () => {
    mirror.publishStable('/archive/debian/20260101T000000Z', { name: suite, packages: old });
    const using = options('20260101T000000Z');
    const dead = 'http://127.0.0.1:1';
    const mirrors = { ...using.mirrors, main: `${dead}/debian`, security: `${dead}/debian-security` };
    const locked = await resolve(['app'], [], { ...using, mirrors });
    const request = { suite, architecture: 'arm64' } as const;
    assert.equal((await downloadPackages(locked, request, { ...using, mirrors })).size, 3);
  });

  test('indexes come from the snapshot, although their date is past by nature', async () => {
    const dates = { date: ago(2000), validUntil: ago(1993) };
    mirror.publishStable('/archive/debian/20260101T000000Z', { name: suite, packages: old, ...dates });
    const newer = [{ name: 'app', version: '2.0-1' }];
    mirror.publishStable('/debian', { name: suite, packages: newer });
    assert.equal(
      versions(await resolve(['app'], [], options('20260101T000000Z'))),
      'app 1.0-1, helper 1.0-1, lib 1.0-1',
    );
    assert.equal(versions(await resolve(['app'])), 'app 2.0-1');
  });

  test('an index of a stable suite past its date is refused, for packages and for sources', async () => {
    mirror.publishStable('/debian', {
      name: suite,
      packages: old,
      sources: [{ name: 'u-boot', version: '1-1' }],
    });
    mirror.publish('/debian-security', { name: `${suite}-security`, date: ago(9), validUntil: ago(2) });
    const expired = {
      code: 'builder/mirror-expired',
      message: /trixie-security/,
      remedy: /MBL_DEBIAN_SNAPSHOT/,
    };
    await assert.rejects(resolve(['app']), expired);
    await assert.rejects(resolveSource('u-boot', suite, options()), expired);
  });

  test('an index of a rolling suite counts for 180 days', async () => {
    const sources = [
      { name: 'u-boot', version: '2025.01-3' },
      { name: 'u-boot', version: '2025.01-3.2' },
    ];
    mirror.publish('/debian', { name: 'sid', sources, date: ago(170), validUntil: ago(163) });
    assert.equal((await resolveSource('u-boot', 'sid', options())).version, '2025.01-3.2');
    mirror.publish('/debian', { name: 'sid', sources, date: ago(190), validUntil: ago(183) });
    await assert.rejects(resolveSource('u-boot', 'sid', options(undefined, 'late')), {
      code: 'builder/mirror-expired',
    });
  });
});
