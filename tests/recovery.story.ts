// SPDX-License-Identifier: Apache-2.0
//
// A board loses what is on its disk, piece by piece, between two starts: it is online again by itself, or says what it waits for. It never
// restarts on and on.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { packFactory } from '@mbl/factory';
import { factoryFor, formatFactory } from '@mbl/formats';
import type { Board, StartOptions } from '@mbl/lab';
import { assertNever, flipped, readFit, run } from './support/attacks.ts';
import { bootState, readBootStates } from './support/boot-state.ts';
import { bootTimeoutMs, online, openWorld, until, type World } from './support/world.ts';

const patience = { timeoutMs: bootTimeoutMs };
const name = 'recovering';

describe('a board', { timeout: 1_800_000 }, () => {
  let world: World;
  let board: Board;
  let id = '';
  /** Events that were seen. */
  const events = new Set<string>();

  before(async () => {
    world = await openWorld();
    board = await world.board(name);
  });
  after(async () => await world[Symbol.asyncDispose]());
  afterEach(async () => await board.powerOff());

  const sizeOf = (part: string): number =>
    board.image.disk.partitions.find((each) => each.name === part)?.size ?? 0;
  const offsetOf = (part: string): number =>
    board.image.disk.partitions.find((each) => each.name === part)?.offset ?? assert.fail(part);
  const disk = (): string => join(board.directory, 'disk.img');
  /** With holes for what is zero: a disk is 1.5 GB. */
  const copySparsely = async (from: string, to: string): Promise<void> =>
    void (await run('cp', ['--sparse=always', '--reflink=auto', from, to]));
  const shell = async (command: string): Promise<string> => {
    const { code, stdout, stderr } = await board.ssh(command, patience);
    assert.equal(code, 0, `${command}: ${stderr}`);
    return stdout.trim();
  };

  /** The board starts once, and the device is online as the one that it was. */
  async function comesBack(options: StartOptions = {}): Promise<void> {
    await board.start(options);
    const device = await online(world.client, name);
    if (id !== '') assert.equal(device.id, id, 'the same device');
    await startedOnce();
  }

  async function startedOnce(): Promise<void> {
    const lines = await board.serial.lines();
    const starts = lines.filter(({ text }) => text.includes('Booting Trusted Firmware'));
    assert.equal(starts.length, 1, 'one start');
  }

  /** What the storage service put on the console in this run. */
  async function incidents(): Promise<string[]> {
    const lines = await board.serial.lines();
    return lines.flatMap(({ text }) => /mbl-storage: ([a-z-]+): /.exec(text)?.[1] ?? []);
  }

  /** Waits until the directory has an event about it that it did not have before. */
  async function recorded(kind: RegExp): Promise<void> {
    const event = await until(
      `an event of kind ${kind}`,
      async () =>
        (
          await world.client.listEvents({
            filter: { device_id__eq: id, event_type__eq: 'device.board-recovered' },
          })
        ).find((each) => !events.has(each.id) && kind.test(String(each.data['kind']))),
      bootTimeoutMs,
    );
    events.add(event.id);
  }

  /** The owner lets the code of a device that lost its key work once more; it is online with a new key. */
  async function rearm(options: StartOptions = {}): Promise<void> {
    await board.start(options);
    await board.serial.waitFor(/enrolment refused reason=.*used before/, patience);
    await world.client.rearmEnrolment(name);
    assert.equal((await online(world.client, name)).id, id, 'the same device');
    await startedOnce();
  }

  /** An ext4 with these contents, as large as the partition. */
  async function fileSystem(
    part: 'config' | 'data',
    fill: (folder: string) => Promise<void>,
  ): Promise<string> {
    const folder = join(world.directory, `crafted-${part}-${randomBytes(4).toString('hex')}`);
    await mkdir(folder);
    await fill(folder);
    const image = `${folder}.ext4`;
    const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
    const features = part === 'data' ? ['-O', 'verity,quota,project', '-E', 'quotatype=prjquota'] : [];
    const args = [
      '-q',
      '-F',
      '-t',
      'ext4',
      '-b',
      '4096',
      ...features,
      '-L',
      `mbl-${part}`,
      '-d',
      folder,
      image,
    ];
    await run('mke2fs', [...args, `${sizeOf(part) / 1024}k`], { env });
    return image;
  }

  test('makes its file systems at its first start, which is no incident', async () => {
    await comesBack();
    ({ id } = await online(world.client, name));
    assert.deepEqual(await incidents(), []);
    assert.equal(await shell('ls /config/incidents'), '');
    const mounts = await shell('cat /proc/mounts');
    for (const folder of ['/config', '/data', '/var', '/home'])
      assert.match(mounts, new RegExp(`^/dev/vda\\d ${folder} ext4 rw,nosuid,nodev,noexec,noatime`, 'm'));
    assert.match(mounts, /^\/dev\/vda\d \/data ext4 .*prjquota/m);
    assert.match(await shell('cat /run/mbl/boot'), /^slot=a\nattempts=\d+$/);
    await shell('echo kept >/home/kept; sync');
    await board.powerOff();
  });

  test("with another device's factory configuration becomes that one", async () => {
    const own = await board.readPart('factory');
    const { code } = await world.client.createEnrolment('another');
    const factory = factoryFor(world.file, {
      endpointName: 'another',
      enrolmentCode: code,
      host: '10.0.2.2',
      trust: await readFile(world.file.trust, 'utf8'),
    });
    const ssh = await readFile(`${board.file.ssh.key}.pub`, 'utf8');
    await board.writePart(
      'factory',
      await packFactory({ 'factory.json': formatFactory(factory), authorized_keys: ssh }),
    );
    await board.start();
    const other = await online(world.client, 'another');
    assert.notEqual(other.id, id);
    await board.powerOff();
    await board.writePart('factory', own);
  });

  test('with its own again comes back as it was after power cuts, without a word', async () => {
    // Its key is the same, so its code gives it its certificate again.
    await comesBack();
    assert.deepEqual(await incidents(), []);
    assert.equal(await shell('cat /home/kept'), 'kept');
    assert.equal(await shell('systemctl show mbl-storage -p ExecMainStatus --value'), '0');
    // Where systemd goes when the storage service itself fails: a pause, then another try.
    await shell('systemctl start --no-block emergency.service');
    const { match } = await board.serial.waitFor(
      /mbl: the boot failed, the board restarts in (\d+) s/,
      patience,
    );
    const since = performance.now();
    await board.serial.waitFor('Booting Trusted Firmware', patience);
    assert.ok(Number(match[1]) >= 10 && performance.now() - since > 8000, 'the pause is made');
    await board.powerOff();
  });

  test('brings a lost superblock back with all that was in it, and boots the other root for one that is damaged in its top', async () => {
    const top = await flipped(board, 'hash-tree', 0);
    await board.writePart('root_b', await board.readPart('root_a'));
    await board.writePart('hash-tree', top.bytes, { offset: top.offset ?? 0 });
    await board.writePart('data', Buffer.alloc(4096));
    await comesBack();
    await board.serial.waitFor(/mbl-init: root file system root_b opened/, { timeoutMs: 1000 });
    assert.deepEqual((await incidents()).toSorted(), ['data-repaired', 'root-damaged']);
    await recorded(/^data-repaired$/);
    await recorded(/^root-damaged$/);
    assert.equal(await shell('cat /home/kept'), 'kept');
    assert.match(await shell('cat /run/mbl/boot'), /^slot=b$/m);
    await board.powerOff();
    await board.writePart('root_a', await board.readPart('root_b'));
  });

  test('makes its configuration anew when that is zero, and data that are larger than their partition or half zero', async () => {
    await board.writePart('config', Buffer.alloc(sizeOf('config')));
    const half = sizeOf('data') / 2;
    const image = join(world.directory, 'large.ext4');
    const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
    const args = ['-q', '-F', '-t', 'ext4', '-b', '4096', '-L', 'mbl-data', image];
    await run('mke2fs', [...args, `${(2 * sizeOf('data')) / 1024}k`], { env });
    await writeRange('data', image, half);
    await zeroRange('data', half, half);
    // Its identity was there: the device is itself again once its owner says so.
    await rearm();
    assert.match((await incidents()).join(), /^config-made,data-(made|repaired)$/);
    await recorded(/^config-made$/);
    await recorded(/^data-(made|repaired)$/);
    await shell('echo new >/home/new && sync');
    await board.powerOff();
  });

  test('makes anew what is noise, both at once, with a clock in the hardware that says 2099', async () => {
    await board.writePart('config', randomBytes(sizeOf('config')));
    for (let at = 0; at < sizeOf('data'); at += 64 * 1024 * 1024)
      await board.writePart('data', randomBytes(1024 * 1024), { offset: at });
    await rearm({ clock: '2099' });
    assert.match((await incidents()).join(), /^config-made,data-(made|repaired)$/);
    await recorded(/^config-made$/);
    await recorded(/^data-(made|repaired)$/);
    assert.equal(await shell('systemctl --failed --no-legend'), '');
    await board.powerOff();
  });

  test('follows no link that somebody put into its data, believes no clock there, and takes nothing from other disks with its labels', async () => {
    const image = await fileSystem('data', async (folder) => {
      await mkdir(join(folder, 'var/lib/systemd/timesync'), { recursive: true });
      await symlink('/config', join(folder, 'home'));
      await symlink('/config/identity', join(folder, 'var/lib/NetworkManager'));
      await writeFile(join(folder, 'var/lib/tee'), 'no folder');
      const clock = join(folder, 'var/lib/systemd/timesync/clock');
      await writeFile(clock, '');
      await utimes(clock, new Date('2037-06-01'), new Date('2037-06-01'));
    });
    await writeRange('data', image, sizeOf('data'));
    await giveToRoot('identity/key.pem');
    const stranger = await strangersDisk();
    // The board's own is at the first place that its device tree knows; these are at the next ones.
    const disks = [25, 26].map((bus) => ({
      file: `${stranger}.${bus}`,
      device: `virtio-blk-device,bus=virtio-mmio-bus.${bus}`,
    }));
    for (const { file } of disks) await copySparsely(stranger, file);
    await comesBack({ disks });
    assert.equal(await shell('grep -lx PARTNAME=config /sys/class/block/*/uevent | wc -l'), '3');
    assert.equal(await shell('grep -Ec "^/dev/vd[bc]" /proc/mounts || true'), '0');
    assert.deepEqual(await incidents(), ['data-repaired']);
    await recorded(/^data-repaired$/);
    assert.equal(await shell('stat -c "%U %a" /config/identity/key.pem'), 'mbl-cloud-client 600');
    for (const folder of ['/home', '/var/lib/NetworkManager', '/var/lib/tee'])
      assert.equal(await shell(`stat -c %F ${folder}`), 'directory', folder);
    assert.equal(await shell('ls -A /config/identity'), '.synced\ncertificate.pem\ndevice.json\nkey.pem');
    assert.equal(await shell('systemctl --failed --no-legend'), '');
    // The clock follows the time stamp, as far as mke2fs can write one; the next connection is made all the same.
    await shell(
      'systemctl start systemd-timesyncd; for i in $(seq 60); do [ "$(date +%Y)" -lt 2037 ] || exit 0; sleep 1; done; exit 1',
    );
    await shell('systemctl restart --no-block mbl-cloud-client');
    await board.serial.waitFor(/mbl-cloud-client.*starting endpoint/, patience);
    await board.serial.waitFor(/mbl-cloud-client.*registered device=/, patience);
    await board.powerOff();
  });

  test('without a factory configuration stays up and says what it waits for', async () => {
    const factory = await board.readPart('factory');
    const waits = /mbl: the board waits for its factory configuration: (.*)/;
    await board.writePart('factory', Buffer.alloc(factory.length));
    await board.start();
    const { match } = await board.serial.waitFor(waits, patience);
    assert.match(match[1] ?? '', /the partition "factory" holds no file system/);
    await sleep(20_000);
    await startedOnce();
    const said = (await board.serial.lines()).filter(({ text }) => waits.test(text));
    assert.equal(said.length, 1, 'once');
    await assertNever(board.serial, /mbl-cloud-client.*(starting|failed)/);
    await board.serial.waitFor(/root@mbl.*# /, patience);
    await board.powerOff();
    await board.writePart('factory', factory);
  });

  test('with a factory configuration that cannot be read, does not try for ever', async () => {
    const factory = await board.readPart('factory');
    await board.writePart('factory', await packFactory({ 'factory.json': '{ "version": 1,' }));
    await board.start();
    await board.serial.waitFor(/waits for its factory configuration: .*cannot be used/, patience);
    await sleep(15_000);
    const lines = await board.serial.lines();
    assert.equal(lines.filter(({ text: line }) => /cloud client failed/.test(line)).length, 1);
    await startedOnce();
    await board.powerOff();
    await board.writePart('factory', factory);
  });

  test('gives up a slot whose root has a damaged block, in the data or in any level of the tree, for the other', async () => {
    await board.writePart('boot_b', await readFit(board));
    for (const [part, at, attempts] of damages()) {
      const { offset = 0, bytes } = await flipped(board, part, at);
      await board.writePart(part, bytes, { offset });
      await board.writePart('state', Buffer.alloc(8192));
      await board.writePart('state', bootState({ sequence: 1, attempts: [attempts, 0] }));
      await board.start();
      // How such a start goes on does not depend on what was damaged: one of them is followed until the device is online.
      if (part === 'root') assert.equal((await online(world.client, name)).id, id);
      else await board.serial.waitFor(/mbl-storage: slot-changed: /, patience);
      const said = await board.serial.lines();
      const tried = said.flatMap(({ text }) => /MBL: trying (boot_.)/.exec(text)?.[1] ?? []);
      assert.deepEqual(tried, [...Array<string>(3 - attempts).fill('boot_a'), 'boot_b'], `${part} ${at}`);
      assert.deepEqual(await incidents(), ['slot-changed']);
      assert.ok(said.some(({ text }) => text.includes('mbl-init: root file system root_b opened')));
      if (part === 'root') {
        // What lasts is told once a day.
        await recorded(/^slot-changed$/);
        await shell('systemctl start mbl-good-boot');
      }
      await board.powerOff();
      if (part === 'root')
        assert.ok((await readBootStates(board)).some((text) => text.endsWith(' b b 03 00')));
      await board.writePart(part, Uint8Array.of((bytes[0] ?? 0) ^ 1), { offset });
    }
    await board.writePart('boot_b', Buffer.alloc(4096));
    await board.writePart('state', Buffer.alloc(8192));
  });

  /**
   * What is damaged, at which byte, and how often the slot was tried before. dm-verity's tree lies with its top first, a level behind the
   * other (Linux Documentation/admin-guide/device-mapper/verity.rst): one block, then the level below, then the one above the data.
   */
  function damages(): (readonly [part: string, offset: number, attempts: number])[] {
    const digestsInBlock = 4096 / 32;
    const blocks = board.image.root.dataSize / 4096;
    const second = Math.ceil(Math.ceil(blocks / digestsInBlock) / digestsInBlock);
    return [
      ['root', 1024, 1],
      ['hash-tree', 4096 + 16, 2],
      ['hash-tree', 4096 * (1 + second) + 16, 2],
    ];
  }

  test('with no root at all takes longer and longer, and says so', async () => {
    for (const part of ['root_a', 'root_b']) await board.writePart(part, Buffer.alloc(sizeOf(part)));
    await board.writePart('state', Buffer.alloc(8192));
    await board.start();
    for (const attempt of [1, 2])
      await board.serial.waitFor(
        `mbl-init: start ${attempt} of slot a failed, the board restarts in ${2 ** attempt} s`,
        patience,
      );
  });

  /** Gives a file of the configuration to root. */
  async function giveToRoot(path: string): Promise<void> {
    const image = join(world.directory, 'config.ext4');
    await writeFile(image, await board.readPart('config'));
    const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
    // The journal first: what it holds would be written over this at the mount.
    await run('e2fsck', ['-p', image], { env }).catch(() => undefined);
    await run('debugfs', ['-w', '-R', `set_inode_field ${path} uid 0`, image], { env });
    await board.writePart('config', await readFile(image));
  }

  /** Writes bytes of a file over a part; where they are zero the disk gets holes. */
  async function writeRange(part: string, file: string, length: number): Promise<void> {
    await zeroRange(part, 0, length);
    const skipped = ['conv=notrunc,sparse', 'oflag=seek_bytes', 'iflag=count_bytes', 'bs=64K'];
    const range = [`seek=${offsetOf(part)}`, `count=${length}`];
    await run('dd', [`if=${file}`, `of=${disk()}`, ...skipped, ...range]);
  }

  async function zeroRange(part: string, offset: number, length: number): Promise<void> {
    const range = ['--offset', String(offsetOf(part) + offset), '--length', String(length)];
    await run('fallocate', ['--punch-hole', ...range, disk()]);
  }

  /** The board's own disk, its partitions filled with what would be seen at once if it were taken for the board's. */
  async function strangersDisk(): Promise<string> {
    const file = join(world.directory, 'stranger.img');
    await copySparsely(disk(), file);
    await using copy = await open(file, 'r+');
    for (const part of board.image.disk.partitions)
      await copy.write(randomBytes(64 * 1024), 0, 64 * 1024, part.offset);
    return file;
  }
});
