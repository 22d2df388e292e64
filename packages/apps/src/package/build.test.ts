// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { readApp } from '../recipe/read.ts';
import {
  archiveOf,
  dockerSave,
  newDockerSave,
  ociLayout,
  type TestImage,
  writeFiles,
} from '../testing/images.ts';
import { elf, rawTar } from '../testing/tar.ts';
import { type BuiltApp, buildApp } from './build.ts';
import { checkPackage } from './check.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-apps-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const environment = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', TZ: 'UTC' };

const base = rawTar([
  { name: 'bin', kind: '2', link: 'usr/bin' },
  { name: 'usr/' },
  { name: 'usr/bin/' },
  { name: 'usr/bin/sensor', data: elf(183), mode: 0o4755, time: 1_700_000_000 },
  { name: 'usr/bin/sensor-too', kind: '1', link: 'usr/bin/sensor' },
  { name: 'etc/old', data: 'old', uid: 1000 },
  { name: 'etc/resolv.conf', kind: '2', link: '../run/resolv.conf' },
  { name: 'dev/console', data: '' },
]);
const upper = rawTar([
  { name: 'etc/.wh.old' },
  {
    name: 'usr/share/data',
    data: 'x'.repeat(200_000),
    pax: { 'SCHILY.xattr.user.kind': 'data', 'SCHILY.xattr.security.capability': Buffer.from([1, 0, 0, 2]) },
  },
]);
const image: TestImage = {
  layers: [base, upper],
  config: {
    Entrypoint: ['/bin/sensor'],
    Cmd: ['--slow'],
    Env: ['PATH=/bin', 'MODE=image'],
    WorkingDir: '/etc/',
    User: 'sensor',
    StopSignal: '2',
    ExposedPorts: { '8080/tcp': {}, '53/udp': {} },
  },
};

const recipe = `
name: sensor
version: "1.2"
environment: { MODE: app }
permissions: { ports: { web: { port: 8080 } } }
volumes: { data: { path: /var/lib/sensor, size: 4 MiB } }
`;

async function build(name: string, source: string, text = recipe): Promise<BuiltApp> {
  const { app } = readApp(join(folder, 'app.yaml'), Buffer.from(text));
  return await buildApp({ app, source: { image: source }, output: join(folder, 'out', name), environment });
}

const place = (name: string, bytes: Buffer) => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};

test('an image becomes a file system with a known digest, and a description of what it needs', async () => {
  const built = await build('save', place('save.tar', dockerSave(image)));
  assert.equal(built.kind, 'archive of docker save');
  assert.deepEqual(built.changes, { setuid: 1, attributes: 1, hidden: 1 });
  assert.deepEqual(built.exposed, ['53/udp']);
  const { app } = built;
  assert.deepEqual(app.command, ['/bin/sensor', '--slow']);
  assert.deepEqual(app.environment, ['MODE=app', 'PATH=/bin']);
  assert.equal(app.workingDirectory, '/etc');
  assert.deepEqual(app.stop, { signal: 'SIGINT', grace: 10 });
  assert.deepEqual(app.permissions, {
    network: 'none',
    ports: [{ name: 'web', port: 8080, protocol: 'tcp', published: 8080 }],
    devices: [],
    bus: { talk: [], own: [] },
  });
  assert.deepEqual(app.user, { uid: 0, gid: 0, groups: [] });
  assert.deepEqual(await checkPackage(built.folder), app);
  const to = unpack(join(built.folder, 'app.erofs'));
  // Python holds it against what it compiled.
  assert.equal(statSync(join(to, 'usr/bin/sensor')).mtimeMs, 1_700_000_000_000);
  const listing = list(to);
  assert.deepEqual(listing, [
    '/ 755',
    '/bin 777 -> usr/bin',
    '/dev 755',
    '/etc 755',
    '/etc/hostname 644',
    '/etc/hosts 644',
    '/etc/resolv.conf 644',
    '/proc 755',
    '/run 755',
    '/sys 755',
    '/tmp 1777',
    '/usr 755',
    '/usr/bin 755',
    '/usr/bin/sensor 755',
    '/usr/bin/sensor-too 755',
    '/usr/share 755',
    '/usr/share/data 644',
    '/var 755',
    '/var/lib 755',
    '/var/lib/sensor 755',
  ]);
});

/** What erofs-utils makes of an erofs. */
function unpack(erofs: string): string {
  const to = mkdtempSync(join(folder, 'unpacked-'));
  execFileSync('fsck.erofs', [`--extract=${to}`, '--overwrite', '--preserve-perms', erofs], {
    stdio: 'ignore',
  });
  return to;
}

/** Path, mode and target of everything in a folder. */
function list(to: string): string[] {
  const found = execFileSync('find', [to, '-printf', '/%P %m -> %l\\n'], { encoding: 'utf8' });
  return found
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ -> $/, ''))
    .toSorted();
}

test('the same image in every form is the same app, byte for byte', async () => {
  const first = await build('first', place('a.tar', dockerSave(image)));
  const layoutFolder = join(folder, 'layout');
  writeFiles(layoutFolder, ociLayout(image, 'zstd'));
  const others = {
    links: place('b.tar', dockerSave(image, true)),
    newer: place('c.tar', newDockerSave(image)),
    packed: place('d.tar.gz', gzipSync(dockerSave(image))),
    layout: layoutFolder,
    archive: place('e.tar', archiveOf(ociLayout(image, 'gzip'))),
    plain: place('f.tar', archiveOf(ociLayout(image, 'none'))),
    named: place('g.tar', archiveOf(ociLayout({ ...image, variant: 'v8' }, 'gzip'))),
  };
  for (const [name, source] of Object.entries(others)) {
    const built = await build(name, source);
    for (const file of ['app.erofs', 'app.json'])
      assert.ok(
        readFileSync(join(built.folder, file)).equals(readFileSync(join(first.folder, file))),
        `${name} has another ${file}`,
      );
  }
});

test('a container that was exported is the same file system as the image that was saved', async () => {
  const first = await build('saved', place('i.tar', dockerSave(image)));
  const exported = rawTar([
    { name: '.dockerenv', data: '', mode: 0o755 },
    { name: 'bin', kind: '2', link: 'usr/bin' },
    { name: 'dev/' },
    { name: 'dev/pts/' },
    { name: 'etc/' },
    { name: 'etc/hosts', data: '' },
    { name: 'etc/resolv.conf', data: '' },
    { name: 'proc/' },
    { name: 'usr/bin/sensor', data: elf(183), mode: 0o4755, time: 1_700_000_000 },
    { name: 'usr/bin/sensor-too', kind: '1', link: 'usr/bin/sensor' },
    { name: 'usr/share/data', data: 'x'.repeat(200_000), pax: { 'SCHILY.xattr.user.kind': 'data' } },
  ]);
  const source = place('export.tar', exported);
  await assert.rejects(build('exported', source), { code: 'apps/no-command' });
  const built = await build('exported', source, `${recipe}command: [/bin/sensor]\n`);
  assert.equal(built.kind, 'archive of docker export');
  assert.equal(built.app.image.sha256, first.app.image.sha256);
});

test('an image of several users keeps them, and its process is one of them', async () => {
  const passwd = rawTar([{ name: 'etc/passwd', data: 'sensor:x:1000:1001::/:\n' }]);
  const source = place('users.tar', dockerSave({ ...image, layers: [base, upper, passwd] }));
  const { app } = await build('users', source, `${recipe}users: several\n`);
  assert.deepEqual([app.users, app.user], ['several', { uid: 1000, gid: 1001, groups: [] }]);
  await assert.rejects(build('nobody', place('none.tar', dockerSave(image)), `${recipe}users: several\n`), {
    code: 'apps/unknown-user',
  });
});

test('a folder is an app as well, whatever its owner and times are', async () => {
  const root = join(folder, 'root');
  mkdirSync(join(root, 'usr/bin'), { recursive: true, mode: 0o700 });
  writeFileSync(join(root, 'usr/bin/sensor'), elf(183), { mode: 0o711 });
  symlinkSync('usr/bin', join(root, 'bin'));
  const text = `name: plain\nversion: "1"\ncommand: [/bin/sensor]\n`;
  const { app } = readApp('/app.yaml', Buffer.from(text));
  const output = join(folder, 'out/plain');
  await buildApp({ app, source: { root }, output, environment });
  const before = readFileSync(join(output, 'app.json'));
  rmSync(root, { recursive: true });
  mkdirSync(join(root, 'usr/bin'), { recursive: true });
  symlinkSync('usr/bin', join(root, 'bin'));
  writeFileSync(join(root, 'usr/bin/sensor'), elf(183), { mode: 0o755 });
  await buildApp({ app, source: { root }, output, environment });
  assert.ok(readFileSync(join(output, 'app.json')).equals(before));
});

test('a package whose image was changed is noticed', async () => {
  const built = await build('changed', place('h.tar', dockerSave(image)));
  const path = join(built.folder, 'app.erofs');
  const bytes = readFileSync(path);
  bytes[5000] = (bytes[5000] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  await assert.rejects(checkPackage(built.folder), { code: 'apps/wrong-content' });
});
