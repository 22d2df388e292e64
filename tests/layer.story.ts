// SPDX-License-Identifier: Apache-2.0
//
// A product in a folder of its own, outside the repository: examples/product-layer, as a person would copy and build it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, lstat, mkdir, open, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { type ImageDescription, parseImage } from '@mbl/formats';
import { findWorkspace } from '@mbl/cli';
import { assertError, mbl, mblJson, root, temporaryFolder } from './support/mbl.ts';
import { productionKeys } from './support/production-keys.ts';

const run = promisify(execFile);
const limit = 1_800_000;

interface Build {
  readonly directory: string;
  readonly lockChanges: readonly unknown[];
  readonly overrides: readonly string[];
  readonly tasks: readonly { readonly task: string; readonly cached: boolean }[];
}

describe('a product layer', { timeout: limit }, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let layer: string;
  let environment: Record<string, string>;
  let built: Build;
  let image: ImageDescription;
  let extracted: string;

  const build = ['build', '--image', 'product', '--layer'];

  before(async () => {
    // Makes keys and firmware, unless they are there.
    await mblJson(['build', '--image', 'production'], { timeout: limit });
    folder = await temporaryFolder();
    layer = join(folder.path, 'acme', 'product-layer');
    await cp(join(root, 'examples/product-layer'), layer, { recursive: true });
    const own = findWorkspace();
    const state = join(folder.path, 'state');
    await cp(join(own.state, 'keys'), join(state, 'keys'), { recursive: true });
    environment = { MBL_STATE: state, MBL_CACHE: own.cache };
    built = await mblJson<Build>([...build, layer], { environment, timeout: limit });
    const file = join(built.directory, 'image.json');
    image = parseImage(await readFile(file, 'utf8'), file);
    extracted = join(folder.path, 'root');
    await extractRoot(built.directory, image, extracted);
  });
  after(async () => await folder[Symbol.asyncDispose]());

  test('is built without compiling the firmware again', () => {
    const cached = built.tasks.filter((task) => task.cached).map(({ task }) => task);
    for (const task of ['u-boot', 'optee', 'trusted-firmware', 'flash', 'kernel'])
      assert.ok(cached.includes(task), `${task} comes from the cache`);
  });

  test('adds its packages, and the manifest lists them', async () => {
    const component = (await readManifest(built.directory)).find(({ name }) => name === 'tzdata');
    assert.ok(component !== undefined, 'tzdata is listed');
    assert.match(component.version, /^20\d\d/);
    const { locks } = JSON.parse(await readFile(join(built.directory, 'lock.json'), 'utf8')) as {
      locks: Record<string, { packages: { name: string; version: string; sha256: string }[] }>;
    };
    const locked = locks['trixie/root-product']?.packages.find(({ name }) => name === 'tzdata');
    assert.equal(locked?.version, component.version, 'and the lock beside the image');
    assert.deepEqual(component.hashes, [{ alg: 'SHA-256', content: locked?.sha256 }]);
    const tools = ['compile', 'image', 'run'].flatMap((box) => [`tools-${box}-amd64`, `tools-${box}-arm64`]);
    const names = ['boot-qemu-arm64', 'root-product', ...tools];
    assert.deepEqual(Object.keys(locks), ['firmware', ...names.map((name) => `trixie/${name}`)]);
    assert.ok((await lstat(join(extracted, 'usr/share/zoneinfo/Europe/Lisbon'))).isFile());
  });

  test('keeps its lock to itself; a package more changes that package, and the build says so', async () => {
    assert.deepEqual(built.lockChanges, [], 'its own lock answers');
    const os = join(root, 'os/locks/trixie/root-production.json');
    const before = await readFile(os, 'utf8');
    const path = join(layer, 'images/product.yaml');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('  - tzdata\n', '  - tzdata\n  - tree\n'));
    const { stdout, stderr } = await mbl([...build, layer], { environment, timeout: limit });
    await writeFile(path, text);
    const lines = stdout.split('\n');
    const at = lines.findIndex((line) =>
      line.endsWith('product-layer/locks/trixie/root-product.json has changed:'),
    );
    assert.match(lines[at + 1] ?? '', /^  added: tree /, stdout + stderr);
    assert.doesNotMatch(lines[at + 2] ?? '', /^  /, 'and nothing else');
    assert.equal(await readFile(os, 'utf8'), before);
    await cp(join(root, 'examples/product-layer/locks'), join(layer, 'locks'), { recursive: true });
  });

  test('has a manifest of all its parts, from the firmware on, each with version, licence and source', async () => {
    const components = await readManifest(built.directory);
    for (const { name, version, licenses, externalReferences } of components) {
      assert.ok(name !== '' && version !== '', JSON.stringify({ name, version }));
      assert.ok((licenses?.[0]?.license.name ?? '') !== '', `${name} has a licence`);
      assert.match(externalReferences?.[0]?.url ?? '', /^(pkg|https):/, `${name} has a source`);
    }
    const names = components.map(({ name }) => name);
    const firmware = ['arm-trusted-firmware', 'mbedtls', 'optee-os', 'u-boot'];
    for (const name of [...firmware, 'busybox-static', 'dmsetup', 'systemd', 'nodejs', 'cborg'])
      assert.ok(names.includes(name), `${name} is listed`);
    const kernel = components.find(({ name }) => name.startsWith('linux-image-'));
    assert.ok(kernel?.externalReferences?.some(({ url }) => url.startsWith('pkg:deb/debian/linux@')));
    assert.deepEqual(
      components.map((component) => component['bom-ref']),
      [...new Set(components.map(({ purl }) => purl))],
      'each is there once',
    );
  });

  test('adds its files, its user and its service, which starts by itself', async () => {
    const program = join(extracted, 'usr/libexec/acme-thermostat');
    const source = await readFile(join(layer, 'files/usr/libexec/acme-thermostat'), 'utf8');
    assert.equal(await readFile(program, 'utf8'), source);
    assert.equal((await lstat(program)).mode & 0o777, 0o755);
    assert.match(await readFile(join(extracted, 'etc/acme/thermostat.conf'), 'utf8'), /^target=21$/m);
    assert.match(await readFile(join(extracted, 'etc/passwd'), 'utf8'), /^acme-thermostat:[^:]*:2000:2000:/m);
    const link = join(extracted, 'etc/systemd/system/multi-user.target.wants/acme-thermostat.service');
    assert.match(await readlink(link), /usr\/lib\/systemd\/system\/acme-thermostat\.service$/);
  });

  test('keeps what the image that it extends has', async () => {
    const identity = await readFile(join(extracted, 'etc/mbl/image.json'), 'utf8');
    assert.equal((JSON.parse(identity) as { image: string }).image, 'product');
    assert.ok((await lstat(join(extracted, 'usr/lib/mbl/cloud-client.mjs'))).isFile());
    const wants = 'etc/systemd/system/multi-user.target.wants';
    assert.ok((await lstat(join(extracted, wants, 'mbl-cloud-client.service'))).isSymbolicLink());
  });

  test('changes the host name and a partition, and the build says where', async () => {
    assert.equal((await readFile(join(extracted, 'etc/hostname'), 'utf8')).trim(), 'thermostat');
    assert.equal(image.disk.partitions.find(({ name }) => name === 'data')?.size, 2 * 1024 ** 3);
    const [line] = built.overrides.filter((text) => text.includes('partitions.data.size'));
    assert.match(
      line ?? '',
      /^layer acme-thermostat: machine qemu-arm64: .* 1 GiB -> 2 GiB \(.*layer\.yaml:\d+:\d+\)$/,
    );
    const { code, stdout, stderr } = await mbl([...build, layer], { environment, timeout: limit });
    assert.equal(code, 0, stderr);
    assert.ok(stdout.includes(line ?? '?'), 'a person sees it too');
  });

  test('that needs more room than its image allows is refused, on the disk and as a download', async () => {
    const path = join(layer, 'images/product.yaml');
    const text = await readFile(path, 'utf8');
    const before = await readFile(join(built.directory, 'image.json'), 'utf8');
    for (const [limits, what] of [
      ['{ disk: 50 MB }', /\d+ bytes on the disk, and the image allows 50000000/],
      ['{ download: 50 MB }', /\d+ bytes as a download, and the image allows 50000000/],
    ] as const) {
      await writeFile(path, `${text}limits: ${limits}\n`);
      const result = await mbl([...build, layer], { environment, timeout: limit });
      await writeFile(path, text);
      assertError(result, 'builder/root-too-large', what);
      assert.equal(await readFile(join(built.directory, 'image.json'), 'utf8'), before, 'the image stays');
    }
  });

  test('is signed by production keys when nobody can log in, and by no way else', async () => {
    const state = join(folder.path, 'shop');
    const keys = await productionKeys(join(folder.path, 'production'));
    const product = async (name: string, from: string) =>
      await mbl(['build', '--image', name, '--layer', from, '--keys', keys], {
        environment: { ...environment, MBL_STATE: state },
        timeout: limit,
      });
    const copy = join(folder.path, 'opened');
    const debugShell = ['[Service]', 'ExecStart=/bin/sh', 'StandardInput=tty', 'TTYPath=/dev/ttyAMA0'];
    const attempts: readonly [file: string, text: string, yaml: string, reason: RegExp][] = [
      // One after the other: each is taken away again.
      [
        'files/etc/ssh/authorized_keys/root',
        'ssh-ed25519 AAAA\n',
        'packages: [openssh-server]',
        /\/usr\/sbin\/sshd \(package openssh-server\)/,
      ],
      [
        'files/usr/lib/systemd/system/acme-console.service',
        `${debugShell.join('\n')}\n[Install]\nWantedBy=multi-user.target\n`,
        'services: { enable: [acme-console.service] }',
        /acme-console\.service \(.*opened\/files\)/,
      ],
      [
        'files/etc/acme/x',
        '',
        'services: { enable: [debug-shell.service] }',
        /debug-shell\.service \(package systemd\)/,
      ],
      [
        'files/etc/acme/x',
        '',
        'kernel-arguments: [systemd.debug_shell]',
        /kernel argument systemd\.debug_shell/,
      ],
      ['files/etc/acme/x', '', 'login: { console: getty }', /image opened says login: \{ console: getty \}/],
      [
        'files/usr/libexec/acme-keys',
        '#!/bin/sh\ncp /factory/authorized_keys /run/\n',
        '',
        /acme-keys .*factory partition/,
      ],
    ];
    for (const [file, text, yaml, reason] of attempts) {
      await cp(layer, copy, { recursive: true });
      await mkdir(dirname(join(copy, file)), { recursive: true });
      await writeFile(join(copy, file), text);
      await writeFile(join(copy, 'images/opened.yaml'), `extends: product\ntitle: Opened\n${yaml}\n`);
      assertError(await product('opened', copy), 'builder/login-refused', reason);
      await rm(copy, { recursive: true });
    }
    const signed = ['flash', 'fit', 'trusted-applications', 'root'];
    const records = await readdir(join(state, 'build-cache', 'records'));
    assert.ok(records.includes('packages.json'), 'the check sees what was done');
    assert.deepEqual(
      records.filter((name) => signed.includes(name.replace('.json', ''))),
      [],
    );
    assert.deepEqual(await readdir(join(state, 'build')).catch(() => []), []);
    const done = await product('product', layer);
    assert.equal(done.code, 0, done.stderr);
    assert.doesNotMatch(done.stderr, /development keys/);
  });

  test('that has a mistake is told file and line', async () => {
    const attempt = async (file: string, from: string, to: string) => {
      const path = join(layer, file);
      const text = await readFile(path, 'utf8');
      assert.ok(text.includes(from));
      await writeFile(path, text.replace(from, to));
      const result = await mbl([...build, layer], { environment, timeout: limit });
      await writeFile(path, text);
      return result;
    };
    const lineOf = async (file: string, text: string) =>
      (await readFile(join(layer, file), 'utf8')).split('\n').findIndex((line) => line.includes(text)) + 1;
    const product = 'images/product.yaml';
    assertError(
      await attempt(product, '[acme-thermostat.service]', '[acme-thermostatt.service]'),
      'builder/unknown-unit',
      new RegExp(`product\\.yaml:${await lineOf(product, 'acme-thermostat.service')}:`),
    );
    assertError(
      await attempt('layer.yaml', 'size: 2 GiB', 'size: plenty'),
      'formats/bad-recipe',
      new RegExp(`layer\\.yaml:${await lineOf('layer.yaml', 'size: 2 GiB')}:`),
    );
    assertError(
      await attempt(product, 'extends: production', 'extends: produktion'),
      'builder/unknown-image',
      new RegExp(`product\\.yaml:${await lineOf(product, 'extends:')}:[\\s\\S]*production`),
    );
  });
});

interface Component {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly 'bom-ref': string;
  readonly hashes: readonly { readonly alg: string; readonly content: string }[];
  readonly licenses?: readonly { readonly license: { readonly name: string } }[];
  readonly externalReferences?: readonly { readonly url: string }[];
}

async function readManifest(directory: string): Promise<readonly Component[]> {
  const text = await readFile(join(directory, 'packages.cdx.json'), 'utf8');
  return (JSON.parse(text) as { components: Component[] }).components;
}

/** Unpacks the root file system of a built image, as the partition holds it. */
async function extractRoot(directory: string, image: ImageDescription, target: string): Promise<void> {
  const partition = image.disk.partitions.find(({ name }) => name === 'root_a');
  assert.ok(partition !== undefined);
  const bytes = Buffer.alloc(image.root.dataSize);
  await using disk = await open(join(directory, image.disk.file));
  await disk.read(bytes, 0, bytes.length, partition.offset);
  const file = `${target}.erofs`;
  await writeFile(file, bytes);
  await run('fsck.erofs', [`--extract=${target}`, '--no-preserve-owner', '--preserve-perms', file]);
}
