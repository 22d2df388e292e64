// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';
import { locateImageError } from '../recipes/locate-error.ts';
import { parseDepends, readLocalPackages, splitPackages } from './local-packages.ts';
import { loadRecipes } from '../recipes/recipes.ts';

/** Makes a package with dpkg-deb. */
async function makeDeb(file: string, control: Record<string, string>): Promise<void> {
  const folder = `${file}.d`;
  const all = {
    Version: '1.0',
    Architecture: 'arm64',
    Maintainer: 'Acme <a@example.com>',
    Description: 'x',
    ...control,
  };
  await mkdir(join(folder, 'DEBIAN'), { recursive: true });
  const text = Object.entries(all).map(([key, value]) => `${key}: ${value}\n`);
  await writeFile(join(folder, 'DEBIAN/control'), text.join(''));
  await mkdir(join(folder, 'usr/bin'), { recursive: true });
  await writeFile(join(folder, 'usr/bin', control['Package'] ?? 'x'), '');
  await runCommand('dpkg-deb', ['--root-owner-group', '--build', folder, file]);
}

async function folders(t: TestContext): Promise<[string, string]> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-debs-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const both: [string, string] = [join(folder, 'one'), join(folder, 'two')];
  for (const each of both) await mkdir(each);
  return both;
}

void test("a layer's packages replace the suite's, and bring what they depend on", async (t) => {
  const [one, two] = await folders(t);
  const depends = 'libc6 (>= 2.36), acme-data (= 1.0), exim4 | mail-transport-agent';
  await makeDeb(join(one, 'agent.deb'), { Package: 'acme-agent', Depends: depends, 'Pre-Depends': 'dpkg' });
  await makeDeb(join(one, 'data.deb'), { Package: 'acme-data', Architecture: 'all', Depends: 'acme-agent' });
  await makeDeb(join(one, 'spare.deb'), { Package: 'acme-spare' });
  await makeDeb(join(two, 'agent.deb'), { Package: 'acme-agent', Version: '2.0', Depends: depends });
  const local = await readLocalPackages([one, two], 'arm64');
  assert.deepEqual([...local.keys()].toSorted(), ['acme-agent', 'acme-data', 'acme-spare']);
  assert.equal(local.get('acme-agent')?.version, '2.0');
  assert.match(local.get('acme-agent')?.sha256 ?? '', /^[0-9a-f]{64}$/);
  const split = splitPackages(['systemd', 'acme-agent'], local);
  assert.deepEqual(split.suite, ['systemd', 'libc6', 'exim4']);
  assert.deepEqual(
    split.local.map(({ name }) => name),
    ['acme-agent', 'acme-data'],
  );
  assert.deepEqual(splitPackages(['systemd'], local), { suite: ['systemd'], local: [] });
});

void test('dependencies are read as Debian writes them', () => {
  assert.deepEqual(parseDepends('a1 (>= 1), b2:any | c3 [arm64] <!nocheck>,\n d4 ,'), [
    ['a1'],
    ['b2', 'c3'],
    ['d4'],
  ]);
  assert.deepEqual(parseDepends(''), []);
});

void test('a package that cannot be used is refused with its file', async (t) => {
  const [one, two] = await folders(t);
  const refuse = async (message: RegExp): Promise<void> => {
    await assert.rejects(readLocalPackages([one, two], 'arm64'), (error: unknown) => {
      assert.ok(error instanceof MblError, String(error));
      assert.match(error.message, message);
      return true;
    });
  };
  await makeDeb(join(one, 'a.deb'), { Package: 'acme', Architecture: 'amd64' });
  await refuse(/a\.deb is for amd64, the machine is arm64/);
  await makeDeb(join(one, 'a.deb'), { Package: 'acme' });
  await makeDeb(join(one, 'b.deb'), { Package: 'acme' });
  await refuse(/a\.deb and .*b\.deb both hold the package "acme"/);
  await rm(join(one, 'b.deb'));
  await writeFile(join(two, 'c.deb'), 'not a package');
  await refuse(/c\.deb/);
});

void test('an error about a package or a unit names the line that asked for it', async () => {
  const os = join(import.meta.dirname, '../../../../os');
  const image = (await loadRecipes({ osDirectory: os })).image('production');
  const located = (details: Record<string, unknown>): unknown =>
    locateImageError(new MblError('builder/x', 'wrong', { remedy: 'r', details }), image);
  const error = located({ package: 'systemd' });
  assert.ok(error instanceof MblError);
  assert.match(error.message, /images\/production\.yaml:\d+:\d+: wrong$/);
  assert.equal(error.remedy, 'r');
  const [unit] = image.services.enable;
  assert.match(String(located({ unit })), /production\.yaml:\d+/);
  assert.equal(String(located({ package: 'not-there' })), 'MblError: wrong');
});
