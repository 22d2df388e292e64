// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { currentTools } from '../engine/current-tools.ts';
import { runCommand } from '../engine/run-command.ts';
import { listErofs } from '../image/compare/erofs.ts';
import { openLockedToolbox } from '../tools/locked.ts';
import { loadBase, storeBase } from './base.ts';
import { buildRoot, composeRoot, type RootInput, sealOptionsOf } from './root.ts';
import { makeDeb } from './testing/make-deb.ts';
import { unpackPackages } from './unpack.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-root-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const policy = {
  users: { daemon: 50 },
  groups: {},
  scaffolding: [],
  trim: [],
  links: { 'usr/bin/awk': 'mawk', 'usr/bin/vi': 'missing' },
  modes: { 'etc/secret': '0640 root shadow' },
  reviewed: {},
};
const cache =
  process.env['MBL_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'mbl');

const tools = openLockedToolbox(join(import.meta.dirname, '../../../../os'), 'image', { cache });

/** A small root file system, made from nothing in its own folder. */
const build = async (
  name: string,
  change: Partial<RootInput> = {},
): Promise<{ out: string; input: RootInput }> => {
  const work = join(folder, name);
  mkdirSync(join(work, 'overlay/etc'), { recursive: true });
  writeFileSync(join(work, 'overlay/etc/motd'), 'hello\n');
  writeFileSync(join(work, 'overlay/etc/secret'), 's\n');
  const base = makeDeb(work, {
    name: 'base',
    files: {
      bin: '-> usr/bin',
      'usr/bin/mawk': '#!/bin/sh\n',
      'usr/lib/sysusers.d/base.conf': 'g shadow 42 -\nu daemon - "x"\n',
      'usr/lib/systemd/system/a.service': '[Install]\nWantedBy=multi-user.target\n',
      'var/lib/thing/state': 'first',
      'usr/share/big': 'compressible '.repeat(20_000),
    },
    modes: { 'usr/bin/mawk': 0o755 },
  });
  const input: RootInput = {
    out: join(work, 'out'),
    name: 'test',
    unpacked: await unpackPackages([base], policy),
    policy,
    folders: [join(work, 'overlay')],
    files: new Map([['etc/mbl/image.json', '{}\n']]),
    hostname: 'board',
    services: { enable: ['a.service'], disable: [], mask: ['b.service'] },
    login: { console: 'none', ssh: 'none' },
    users: [{ name: 'app', id: 2000, groups: [] }],
    ...change,
  };
  await currentTools.run(await tools, () => buildRoot(input));
  return { out: input.out, input };
};

test('two builds in two folders give the same bytes, which veritysetup and fsck accept', async () => {
  const { out } = await build('first');
  const { out: other } = await build('second');
  for (const file of ['root.img', 'root.json'])
    assert.deepEqual(readFileSync(join(out, file)), readFileSync(join(other, file)), file);
  const described = JSON.parse(readFileSync(join(out, 'root.json'), 'utf8'));
  const image = join(out, 'root.img');
  assert.equal(statSync(image).size, described.size);
  const sizes = [
    '--data-block-size=4096',
    '--hash-block-size=4096',
    `--data-blocks=${described.dataSize / 4096}`,
  ];
  const place = [
    '--no-superblock',
    '--hash=sha256',
    `--salt=${described.salt}`,
    `--hash-offset=${described.hashOffset}`,
  ];
  execFileSync('/usr/sbin/veritysetup', ['verify', ...sizes, ...place, image, image, described.rootHash], {
    stdio: 'pipe',
  });

  const extracted = join(folder, 'extracted');
  await currentTools.run(await tools, () => runCommand('fsck.erofs', [`--extract=${extracted}`, image]));
  const read = (path: string): string => readFileSync(join(extracted, path), 'utf8');
  assert.equal(read('etc/motd'), 'hello\n');
  assert.equal(read('usr/bin/awk'), '#!/bin/sh\n');
  assert.throws(() => statSync(join(extracted, 'usr/bin/vi')));
  assert.match(read('etc/passwd'), /^app:x:2000:2000:/m);
  assert.equal(read('etc/hostname'), 'board\n');
  assert.equal(read('usr/share/factory/var/lib/thing/state'), 'first');
  assert.match(
    read('usr/lib/tmpfiles.d/00-var-of-packages.conf'),
    /^C \/var\/lib\/thing\/state 0644 root root - \/usr\/share\/factory/m,
  );
  assert.equal(statSync(join(extracted, 'etc/secret')).mode & 0o777, 0o640);
  assert.equal(statSync(extracted).mode & 0o7777, 0o755);
});

test('over a base stands the same root as without one, and the same bytes twice', async () => {
  const { input } = await build('sixth');
  const base = join(folder, 'base');
  // What does not shrink stands in the image as it is.
  const noise = randomBytes(100_000);
  const { tree, owners } = await composeRoot({ ...input, files: new Map([['usr/share/noise', noise]]) });
  await currentTools.run(await tools, () =>
    storeBase(tree.output(owners), base, sealOptionsOf('test', undefined)),
  );
  const files = new Map<string, string | Buffer>([
    ['usr/share/noise', noise],
    ['etc/mbl/image.json', '{}\n'],
    ['usr/lib/mbl/service.mjs', 'start();\n'],
    ['usr/share/big', 'another '.repeat(30_000)],
  ]);
  const images = [undefined, await loadBase(base), await loadBase(base)].map(async (each, index) => {
    const { out } = await build(`over-${index}`, { files, base: each });
    return readFileSync(join(out, 'root.img'));
  });
  const [plain, over, again] = await Promise.all(images);
  assert.ok(plain && over && again?.equals(over));
  const place = readFileSync(join(base, 'base.erofs')).indexOf(noise.subarray(0, 4096));
  assert.ok(
    place > 0 && over.indexOf(noise.subarray(0, 4096)) === place,
    'the data of the base stays where it is',
  );
  assert.deepEqual(listErofs(over), listErofs(plain));
  const extract = async (image: string): Promise<Map<string, string>> => {
    const place = join(folder, `extracted-${image}`);
    const file = join(folder, image, 'out/root.img');
    await currentTools.run(await tools, () => runCommand('fsck.erofs', [`--extract=${place}`, file]));
    const names = readdirSync(place, { recursive: true, encoding: 'utf8' }).toSorted();
    const files = names.filter((name) => lstatSync(join(place, name)).isFile());
    return new Map(files.map((name) => [name, readFileSync(join(place, name), 'utf8')]));
  };
  const content = await extract('over-1');
  assert.deepEqual(content, await extract('over-0'));
  assert.equal(content.get('usr/lib/mbl/service.mjs'), 'start();\n');
});

test('a changed file changes the root hash', async () => {
  const { out } = await build('third');
  const before = JSON.parse(readFileSync(join(out, 'root.json'), 'utf8')).rootHash;
  const { out: changed } = await build('fourth', { hostname: 'other' });
  assert.notEqual(JSON.parse(readFileSync(join(changed, 'root.json'), 'utf8')).rootHash, before);
});

test('an image that asks for SSH without a server says which unit is missing', async () => {
  await assert.rejects(build('fifth', { login: { console: 'none', ssh: 'key' } }), {
    code: 'builder/unknown-unit',
    message: /ssh\.socket/,
  });
});
