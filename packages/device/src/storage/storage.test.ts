// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bringUpStorage } from './main.ts';
import { FakeDisk, partition } from './testing/fake-disk.ts';

const kinds = async (disk: FakeDisk): Promise<string[]> =>
  (await bringUpStorage({ root: disk.root, tools: disk.tools })).map(({ kind }) => kind);

const label = (device: string): string =>
  partition(device)
    .subarray(1024 + 0x78, 1024 + 0x88)
    .toString('latin1')
    .replace(/\0+$/, '');

/** A disk after its first start. */
async function startedOnce(): Promise<FakeDisk> {
  const disk = new FakeDisk();
  assert.deepEqual(await kinds(disk), [], 'a first start is no incident');
  disk.calls.length = 0;
  return disk;
}

test('a first start makes both file systems, and says what it waits for', async () => {
  using disk = await startedOnce();
  assert.deepEqual(
    ['config', 'data'].map((name) => label(disk.device(name))),
    ['mbl-config', 'mbl-data'],
  );
  const facts = execFileSync('/usr/sbin/tune2fs', ['-l', disk.device('data')]).toString();
  assert.match(facts, /^Filesystem features: .*\bquota\b.*\bproject\b.*\bverity\b/m);
  const config = execFileSync('/usr/sbin/tune2fs', ['-l', disk.device('config')]).toString();
  assert.doesNotMatch(config, /^Filesystem features: .*(quota|verity)/m);
  const uuid = (text: string) => /^Filesystem UUID: +(\S+)/m.exec(text)?.[1];
  assert.notEqual(uuid(facts), uuid(config));
  assert.match(readFileSync(join(disk.root, 'run/mbl/waits'), 'utf8'), /"factory" holds no file system/);
});

test('file systems that are as they were are mounted, and nothing else', async () => {
  using disk = await startedOnce();
  const before = partition(disk.device('data'));
  assert.deepEqual(await kinds(disk), []);
  assert.ok(partition(disk.device('data')).equals(before));
  assert.ok(!disk.calls.some((call) => /^(mke2fs|e2fsck|e2label)/.test(call)), disk.calls.join('\n'));
});

test('a superblock that is zero is brought back from its copies, with what was there', async () => {
  using disk = await startedOnce();
  const kept = join(disk.root, 'kept');
  writeFileSync(kept, 'kept');
  await disk.tool('debugfs', '-w', '-R', `write ${kept} kept`, disk.device('data'));
  writeFileSync(disk.device('data'), partition(disk.device('data')).fill(0, 0, 4096));
  assert.deepEqual(await kinds(disk), ['data-repaired']);
  assert.equal(label(disk.device('data')), 'mbl-data');
  assert.equal(execFileSync('/usr/sbin/debugfs', ['-R', 'cat kept', disk.device('data')]).toString(), 'kept');
});

test('a superblock of which a power cut left one sector old is used, with what was there', async () => {
  using disk = await startedOnce();
  const kept = join(disk.root, 'kept');
  writeFileSync(kept, 'kept');
  await disk.tool('debugfs', '-w', '-R', `write ${kept} kept`, disk.device('config'));
  const before = partition(disk.device('config'));
  await disk.tool('debugfs', '-w', '-R', 'set_super_value mtime 20260101', disk.device('config'));
  const torn = partition(disk.device('config'));
  // Of the two sectors of the superblock the second, with the checksum, is as it was.
  before.copy(torn, 1536, 1536, 2048);
  writeFileSync(disk.device('config'), torn);
  assert.deepEqual(await kinds(disk), ['config-repaired']);
  assert.equal(
    execFileSync('/usr/sbin/debugfs', ['-R', 'cat kept', disk.device('config')]).toString(),
    'kept',
  );
});

for (const [name, damage] of Object.entries({
  zeros: (size: number) => Buffer.alloc(size),
  noise: (size: number) => randomBytes(size),
}))
  for (const lost of ['config', 'data'] as const)
    test(`${lost} that holds ${name} is made anew, and that is an incident`, async () => {
      using disk = await startedOnce();
      const other = lost === 'config' ? 'data' : 'config';
      const kept = partition(disk.device(other));
      writeFileSync(disk.device(lost), damage(partition(disk.device(lost)).length));
      assert.deepEqual(await kinds(disk), [`${lost}-made`]);
      assert.equal(label(disk.device(lost)), `mbl-${lost}`);
      assert.ok(partition(disk.device(other)).equals(kept), 'the other one is as it was');
      const [file = ''] = readdirSync(join(disk.root, 'config/incidents'));
      assert.match(file, new RegExp(`^${lost}-made-[0-9a-f]{8}$`));
      assert.deepEqual(await kinds(disk), [], 'once');
    });

test('a file system that is larger than its partition is made anew', async () => {
  using disk = await startedOnce();
  truncateSync(disk.device('data'), 16 * 1024 * 1024);
  assert.deepEqual(await kinds(disk), ['data-made']);
  assert.deepEqual(await kinds(disk), []);
});

test('both lost at once, one without a trace, is no first start', async () => {
  using disk = await startedOnce();
  writeFileSync(disk.device('config'), partition(disk.device('config')).fill(0));
  const data = partition(disk.device('data'));
  // Its label is there, and nothing behind it that e2fsck could mend.
  writeFileSync(disk.device('data'), data.fill(0xa5, 4096));
  disk.broken.set('e2fsck', 8);
  assert.deepEqual(await kinds(disk), ['config-made', 'data-made']);
});

test('a power cut between making and labelling leaves nothing that counts', async () => {
  using disk = new FakeDisk();
  disk.broken.set('e2label', 1);
  await bringUpStorage({ root: disk.root, tools: disk.tools });
  assert.equal(label(disk.device('config')), '');
  disk.broken.clear();
  assert.deepEqual(await kinds(disk), [], 'the second try is still a first start');
  assert.equal(label(disk.device('config')), 'mbl-config');
});

test('programs that never end: the board comes up with what is in memory, and says so', async () => {
  using disk = new FakeDisk();
  for (const program of ['mke2fs', 'e2fsck']) disk.broken.set(program, undefined);
  assert.deepEqual(await kinds(disk), ['config-in-memory', 'data-in-memory']);
  assert.equal(disk.calls.filter((call) => /^mount .*\/(config|data)$/.test(call)).length, 2);
  assert.match(disk.said.join('\n'), /data-in-memory: the partition data cannot be written.*broken/);
});

test('links in the place of folders go, and nothing is written where they lead', async () => {
  using disk = await startedOnce();
  const at = (path: string) => join(disk.root, path);
  writeFileSync(
    at('usr/lib/tmpfiles.d/a.conf'),
    'd /var/lib/NetworkManager/system-connections 0700 root root -\n',
  );
  mkdirSync(at('elsewhere'));
  for (const path of ['data/var', 'data/home', 'config/identity', 'config/incidents'])
    execFileSync('rm', ['-rf', at(path)]);
  mkdirSync(at('data/var'));
  symlinkSync(at('elsewhere'), at('data/var/lib'));
  symlinkSync(at('elsewhere'), at('data/home'));
  symlinkSync(at('elsewhere'), at('config/incidents'));
  writeFileSync(at('config/identity'), 'a file');
  assert.deepEqual(await kinds(disk), ['data-repaired', 'config-repaired']);
  for (const path of ['data/home', 'config/identity', 'config/incidents'])
    assert.ok(lstatSync(at(path)).isDirectory(), path);
  assert.ok(!existsSync(at('data/var/lib')));
  assert.deepEqual(readdirSync(at('elsewhere')), []);
  assert.equal(lstatSync(at('config/identity')).mode & 0o777, 0o700);
  assert.deepEqual(await kinds(disk), []);
});

test('where apps are kept is made of folders, with modes that decide who writes there', async () => {
  using disk = await startedOnce();
  const at = (path: string) => join(disk.root, 'data/apps', path);
  const modes = () =>
    Object.fromEntries(
      ['incoming', 'orders', 'installed', 'installed/images', 'volumes'].map((path) => [
        path,
        (lstatSync(at(path)).mode & 0o7777).toString(8),
      ]),
    );
  const expected = {
    incoming: '2750',
    orders: '755',
    installed: '755',
    'installed/images': '755',
    volumes: '755',
  };
  assert.deepEqual(modes(), expected);
  const { blocks, bsize } = statfsSync(disk.root);
  const half = Math.floor((blocks * bsize) / 2);
  assert.deepEqual(disk.helped, [`quota set /data/apps/incoming 999 ${half} 1024`]);
  mkdirSync(join(disk.root, 'elsewhere'));
  rmSync(at('volumes'), { recursive: true });
  symlinkSync(join(disk.root, 'elsewhere'), at('volumes'));
  writeFileSync(at('installed/images/kept'), '');
  chmodSync(at('installed'), 0o777);
  assert.deepEqual(await kinds(disk), ['data-repaired']);
  assert.deepEqual(modes(), expected);
  assert.deepEqual(readdirSync(join(disk.root, 'elsewhere')), []);
  assert.deepEqual(readdirSync(at('installed/images')), ['kept']);
});

test('what is no file in the identity folder goes; files become their service’s alone', async () => {
  using disk = await startedOnce();
  const folder = join(disk.root, 'config/identity');
  writeFileSync(join(folder, 'key.pem'), 'key', { mode: 0o666 });
  symlinkSync('/etc/shadow', join(folder, 'device.json'));
  mkdirSync(join(folder, 'certificate.pem'));
  assert.deepEqual(await kinds(disk), ['config-repaired']);
  assert.deepEqual(readdirSync(folder), ['key.pem']);
  assert.equal(lstatSync(join(folder, 'key.pem')).mode & 0o777, 0o600);
});

test('what the initramfs noted is kept, the same thing once, and 32 incidents at most', async () => {
  using disk = await startedOnce();
  const incidents = join(disk.root, 'config/incidents');
  writeFileSync(join(disk.root, 'run/mbl/notes'), 'root-damaged root_a does not hold it\n-no kind\n');
  assert.deepEqual(await kinds(disk), ['root-damaged']);
  assert.deepEqual(await kinds(disk), ['root-damaged']);
  assert.equal(readdirSync(incidents).length, 1);
  const [file = ''] = readdirSync(incidents);
  assert.equal(readFileSync(join(incidents, file), 'utf8'), 'root_a does not hold it\n');
  const many = Array.from({ length: 40 }, (_, i) => `slot-changed number ${i}\n`);
  writeFileSync(join(disk.root, 'run/mbl/notes'), many.join(''));
  await kinds(disk);
  assert.equal(readdirSync(incidents).length, 32);
});

test('contents that cannot be put right are hidden by memory: the board comes up and says so', async () => {
  using disk = await startedOnce();
  for (const name of ['config', 'data']) {
    rmSync(join(disk.root, name), { recursive: true });
    // Like an immutable file, which is not even root's to remove, for every folder that is needed.
    writeFileSync(join(disk.root, name), '');
  }
  assert.deepEqual(await kinds(disk), ['data-in-memory', 'config-in-memory']);
  assert.match(disk.said.join('\n'), /config holds what cannot be put right.*ENOTDIR/);
  for (const folder of ['config/identity', 'config/incidents', 'data/var', 'data/home'])
    assert.ok(lstatSync(join(disk.root, folder)).isDirectory(), folder);
});

test('incidents that cannot be kept keep no board away', async () => {
  using disk = await startedOnce();
  writeFileSync(join(disk.root, 'run/mbl/notes'), 'root-damaged root_a does not hold it\n');
  const say = (line: string): void => {
    disk.said.push(line);
    // As if the partition were full: nothing more can be written to it.
    rmSync(join(disk.root, 'config'), { recursive: true, force: true });
    writeFileSync(join(disk.root, 'config'), '');
  };
  const incidents = await bringUpStorage({ root: disk.root, tools: { ...disk.tools, say } });
  assert.deepEqual(
    incidents.map(({ kind }) => kind),
    ['root-damaged'],
  );
  assert.match(disk.said.at(-1) ?? '', /these are not kept: ENOTDIR/);
});

test('a folder of incidents with too many names is brought to 32, and what happened now is among them', async () => {
  using disk = await startedOnce();
  const incidents = join(disk.root, 'config/incidents');
  for (let i = 0; i < 3000; i++)
    writeFileSync(join(incidents, `watchdog-${i.toString(16).padStart(8, '0')}`), '');
  writeFileSync(join(disk.root, 'run/mbl/notes'), 'root-damaged root_a does not hold it\n');
  assert.deepEqual(await kinds(disk), ['root-damaged']);
  const left = readdirSync(incidents);
  assert.equal(left.length, 32);
  assert.ok(left.some((file) => file.startsWith('root-damaged')));
});
