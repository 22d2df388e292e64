// SPDX-License-Identifier: Apache-2.0
//
// An image like production's that its owner built an SSH key into: that key opens it and nothing else does. And with it, a look from inside
// at what a production board runs and listens on. Development keys sign it; production keys sign no image with a login.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { findWorkspace } from '@mbl/cli';
import { type Board, createBoard } from '@mbl/lab';
import { lonelyFactory } from './support/attacks.ts';
import { assertError, mbl, mblJson, temporaryFolder } from './support/mbl.ts';
import { productionKeys } from './support/production-keys.ts';
import { bootTimeoutMs, until } from './support/world.ts';

const run = promisify(execFile);
const limit = 1_800_000;

describe("an image like production's with a built-in SSH key", { timeout: limit }, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let board: Board;

  before(async () => {
    await mblJson(['build', '--image', 'production'], { timeout: limit });
    folder = await temporaryFolder();
    const { path } = folder;
    for (const name of ['owner', 'stranger'])
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', join(path, name)]);
    const layer = join(path, 'layer');
    await mkdir(join(layer, 'images'), { recursive: true });
    await mkdir(join(layer, 'files/etc/ssh/authorized_keys'), { recursive: true });
    await writeFile(join(layer, 'layer.yaml'), 'name: maintained\nimages: images\n');
    await writeFile(
      join(layer, 'images/maintained.yaml'),
      `extends: production
title: Production, with a way in for its owner
packages: [coreutils, openssh-server, iproute2]
files: [../files]
login: { ssh: key }
`,
    );
    await cp(join(path, 'owner.pub'), join(layer, 'files/etc/ssh/authorized_keys/root'));
    const state = join(path, 'state');
    await cp(join(findWorkspace().state, 'keys'), join(state, 'keys'), { recursive: true });
    const { directory } = await mblJson<{ directory: string }>(
      ['build', '--layer', layer, '--image', 'maintained'],
      { environment: { MBL_STATE: state, MBL_CACHE: findWorkspace().cache }, timeout: limit },
    );
    const factory = await lonelyFactory(path);
    board = await createBoard({
      directory: join(path, 'board'),
      name: 'maintained',
      imageDirectory: directory,
      factory,
    });
    await board.start();
  });
  after(async () => {
    await board?.[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  /** One command over SSH, with no other authentication than the one asked for. */
  const ssh = async (key: string, command: string, user = 'root', ...more: string[]) => {
    const options = ['BatchMode=yes', 'IdentitiesOnly=yes', 'LogLevel=ERROR', 'ConnectTimeout=30', ...more];
    const hosts = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null'];
    const args = [...options, ...hosts].flatMap((option) => ['-o', option]);
    const target = ['-F', 'none', '-i', key, '-p', String(board.hostPort(22)), `${user}@127.0.0.1`];
    return await run('ssh', [...args, ...target, command], { timeout: bootTimeoutMs }).then(
      ({ stdout }) => ({ code: 0, stdout: stdout.trim(), stderr: '' }),
      ({ code, stderr }: { code: number; stderr: string }) => ({ code, stdout: '', stderr }),
    );
  };
  const inside = async (command: string): Promise<string> => {
    const { code, stdout, stderr } = await ssh(join(folder.path, 'owner'), command);
    assert.equal(code, 0, `${command}: ${stderr}`);
    return stdout;
  };

  test('is not for production keys', async () => {
    const { path } = folder;
    const keys = await productionKeys(join(path, 'production'));
    const environment = { MBL_STATE: join(path, 'state'), MBL_CACHE: findWorkspace().cache };
    const args = ['build', '--layer', join(path, 'layer'), '--image', 'maintained', '--keys', keys];
    assertError(
      await mbl(args, { environment, timeout: limit }),
      'builder/login-refused',
      /image maintained says login: \{ ssh: key \}/,
    );
  });

  test('lets its owner in', async () => {
    await until(
      'the board takes the key',
      async () => (await ssh(join(folder.path, 'owner'), 'true')).code === 0,
      bootTimeoutMs,
    );
    assert.equal(await inside('id -un'), 'root');
    assert.match(await inside('cat /etc/mbl/image.json'), /"image": "maintained"/);
  });

  test('refuses everybody else: another key, the one in the unsigned factory partition, a password, another user', async () => {
    const owner = join(folder.path, 'owner');
    for (const [who, key, user, ...more] of [
      ['a stranger', join(folder.path, 'stranger'), 'root'],
      ['whoever wrote the factory partition', join(board.directory, 'ssh_key'), 'root'],
      ['a password', owner, 'root', 'PreferredAuthentications=password,keyboard-interactive'],
      ['a user of a service', owner, 'mbl-cloud-client'],
    ] as const) {
      const { code, stderr } = await ssh(key, 'true', user, ...more);
      assert.equal(code, 255, who);
      assert.match(stderr, /Permission denied \(publickey\)/, who);
    }
  });

  test('listens on the port of SSH and nowhere else', async () => {
    const sockets = (await inside('ss -Hlntu')).split('\n').map((line) => line.trim().split(/\s+/));
    const open = sockets.map(([protocol, , , , local = '']) => `${protocol} ${local.replace(/^.*:/, '')}`);
    assert.deepEqual([...new Set(open)].toSorted(), ['tcp 22']);
  });

  test('has no compiler, no package manager, no debugger, and a root that nobody writes', async () => {
    const programs = 'gcc cc as ld make python3 perl apt apt-get dpkg npm gdb strace su sudo login agetty';
    assert.equal(await inside(`for name in ${programs}; do command -v $name; done; true`), '');
    assert.match(await inside('cat /proc/mounts'), /^\/dev\/mapper\/root \/ erofs ro,/m);
    const { code } = await ssh(join(folder.path, 'owner'), 'mount -o remount,rw / || echo x >/usr/new');
    assert.notEqual(code, 0);
  });
});
