// SPDX-License-Identifier: Apache-2.0
//
// The image that ships gives nothing away: what it is made of, and a board that runs it, seen from its serial port and its network.
import assert from 'node:assert/strict';
import { lstat, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseImage } from '@mbl/formats';
import type { Board } from '@mbl/lab';
import { assertNever, run } from './support/attacks.ts';
import { answersOn } from './support/ports.ts';
import { bootTimeoutMs, online, openWorld, type World } from './support/world.ts';

/** Ports that somebody might have left open: remote shells, debuggers, file shares, brokers, web servers, the protocols of our own. */
const ports = [
  7, 21, 22, 23, 25, 53, 69, 79, 80, 111, 113, 139, 161, 443, 445, 512, 513, 514, 548, 631, 873, 1024, 1080,
  1234, 1883, 2022, 2049, 2222, 2323, 2345, 3000, 3389, 4444, 5000, 5037, 5353, 5355, 5432, 5555, 5683, 5684,
  5900, 6000, 6379, 7547, 8000, 8080, 8443, 8883, 8888, 9000, 9090, 9229, 9999, 19531, 49152,
];

describe('the production image', { timeout: 1_800_000 }, () => {
  let world: World;
  let board: Board;
  let root = '';
  let files: Map<string, { mode: number; link: string | undefined }>;

  before(async () => {
    world = await openWorld();
    board = await world.board('shipped', 'production');
    root = join(world.directory, 'root');
    const image = join(world.directory, 'root.erofs');
    await writeFile(image, await board.readPart('root'));
    await run('fsck.erofs', [`--extract=${root}`, '--no-preserve-owner', '--preserve-perms', image]);
    files = await listFiles(root);
  });
  after(async () => await world[Symbol.asyncDispose]());

  const named = (pattern: RegExp): string[] => [...files.keys()].filter((path) => pattern.test(path));
  const read = async (path: string): Promise<string> => await readFile(join(root, path), 'utf8');

  test('the listing sees what is there', () => {
    assert.ok(files.size > 500, `${files.size} files`);
    for (const program of ['node', 'systemctl', 'sh'])
      assert.deepEqual(named(new RegExp(`^usr/bin/${program}$`)), [`usr/bin/${program}`]);
  });

  test('no compiler, no package manager, no SSH server, no debugger', () => {
    const programs =
      /^(usr\/)?(local\/)?s?bin\/(.*-)?(gcc|g\+\+|cc|c\+\+|cpp|clang|tcc|as|ld|make|rustc|go|perl|python3?|apt|apt-get|dpkg|aptitude|npm|npx|pip3?|snap|flatpak|opkg|rpm|sshd|dropbear|telnetd|gdb|gdbserver|strace|tcpdump|nc|ncat|socat|su|sudo|login|agetty|getty)([-.\d].*)?$/;
    assert.deepEqual(named(programs), []);
    assert.deepEqual(named(/^(usr\/lib|etc|var\/lib)\/(apt|dpkg|gcc|npm)\/|sftp-server$/), []);
  });

  test('nothing has the set-user-id or set-group-id bit', () => {
    const special = [...files].filter(
      ([, { mode, link }]) => link === undefined && (mode & 0o6000) !== 0 && (mode & 0o170000) === 0o100000,
    );
    assert.deepEqual(special, []);
  });

  test('nothing but temporary folders is writable by everybody', () => {
    const open = [...files].filter(([, { mode, link }]) => link === undefined && (mode & 0o1002) === 0o0002);
    assert.deepEqual(open, []);
  });

  test('no account has a password', async () => {
    const fields = (text: string) =>
      text
        .trim()
        .split('\n')
        .map((line) => line.split(':'));
    for (const [name, password] of fields(await read('etc/shadow')))
      assert.match(password ?? '', /^[!*]/, `${name} has no password that anybody could type`);
    for (const [name, password] of fields(await read('etc/passwd')))
      assert.equal(password, 'x', `the password of ${name} is in /etc/shadow`);
  });

  test('no login on any terminal, no SSH, no shell for rescue', async () => {
    const wanted = named(/\.(wants|requires|upholds)\//).map((path) => path.split('/').at(-1));
    assert.ok(wanted.includes('mbl-cloud-client.service'), 'the listing sees what systemd starts');
    const doors =
      /(getty|ssh|telnet|console-shell|mbl-console|debug-shell|rescue|emergency)[^/]*\.(service|socket)$/;
    const masked = (unit: string) => files.get(`etc/systemd/system/${unit}`)?.link === '/dev/null';
    assert.deepEqual(
      wanted.filter((unit) => unit !== undefined && doors.test(unit) && !masked(unit)),
      [],
    );
    assert.equal(files.get('etc/systemd/system/rescue.service')?.link, '/dev/null');
    assert.doesNotMatch(await read('usr/lib/systemd/system/emergency.service'), /sulogin|ExecStart=.*bash/);
    assert.deepEqual(named(/systemd-(debug|getty|ssh)-generator$/), []);
    assert.deepEqual(named(/authorized_keys/), []);
  });

  test('a key on the console, from power-on to login time, changes nothing', async () => {
    await board.start({ ports: ports.filter((port) => port !== 22).map((guest) => ({ guest, host: 0 })) });
    // Enter, space, Ctrl-C, and what a login or a shell would take. While somebody has the console open the kernel echoes what is
    // typed; only a shell makes 42 of it.
    const keys = '\r\n \x03\r\necho $((6*7))marker\r\nroot\r\n';
    const booted = online(world.client, 'shipped').then(
      () => true,
      (error: unknown) => error,
    );
    for (let outcome: unknown; outcome !== true; ) {
      await board.serial.write(keys);
      outcome = await Promise.race([booted, sleep(500)]);
      if (outcome instanceof Error) throw outcome;
    }
    for (let count = 0; count < 10; count++) {
      await board.serial.write(keys);
      await sleep(500);
    }
    // A shell on a slow board gets time to answer.
    await sleep(10_000);
    await board.serial.waitFor('MBL: trying boot_a', { timeoutMs: 1000 });
    await board.serial.waitFor('Starting kernel', { timeoutMs: 1000 });
    await assertNever(
      board.serial,
      /42marker|login:|assword|not found|=> |# $|\$ $|MBL: refused|emergency|root@|Hit any key/,
    );
    const starts = (await board.serial.lines()).filter(({ text }) =>
      text.includes('Booting Trusted Firmware'),
    );
    assert.equal(starts.length, 1, 'one boot');
  });

  test('the device says that it runs this image', async () => {
    const { id } = await online(world.client, 'shipped');
    const file = join(board.directory, 'image.json');
    const description = parseImage(await readFile(file, 'utf8'), file);
    assert.equal(description.image, 'production');
    for (const [instance, [name, { version }]] of Object.entries(description.components).entries()) {
      const values = await world.client.read(id, `/14/${instance}`);
      assert.deepEqual(
        values.map(({ value }) => value),
        [name, version],
      );
    }
  });

  test('no port answers', async () => {
    const open = await Promise.all(
      ports.map(async (port) => ((await answersOn(board.hostPort(port))) ? [port] : [])),
    );
    assert.deepEqual(open.flat(), [], 'ports that are open');
    await assert.rejects(board.ssh('true', { timeoutMs: bootTimeoutMs / 8 }), { code: 'lab/deadline' });
    assert.ok((await online(world.client, 'shipped', 1000)).online, 'the board is still there');
  });

  test('the service restarts the board, which answers first and is the same device afterwards', async () => {
    const { id, device_key: key } = await online(world.client, 'shipped', 1000);
    await world.client.execute(id, '/3/0/4');
    // From behind the line of the first boot that was waited for last.
    await board.serial.waitFor('Booting Trusted Firmware', { timeoutMs: bootTimeoutMs });
    await board.serial.waitFor('Starting kernel', { timeoutMs: bootTimeoutMs });
    const device = await online(world.client, 'shipped');
    assert.deepEqual([device.id, device.device_key], [id, key]);
    assert.match(key ?? '', /^[0-9a-f]{64}$/);
  });
});

/** Every file below a folder, by its path from there; links are not followed. */
async function listFiles(folder: string): Promise<Map<string, { mode: number; link: string | undefined }>> {
  const all = new Map<string, { mode: number; link: string | undefined }>();
  for (const path of (await readdir(folder, { recursive: true })).toSorted()) {
    const entry = await lstat(join(folder, path));
    const link = entry.isSymbolicLink() ? await readlink(join(folder, path)) : undefined;
    all.set(path, { mode: entry.mode, link });
  }
  return all;
}
