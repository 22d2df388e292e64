// SPDX-License-Identifier: Apache-2.0
//
// A container as apps get one, started by hand: what the system alone makes of a program that tries what it must not.
import assert from 'node:assert/strict';
import type { Board } from '@mbl/lab';
import type { AppImageFile } from './app-image.ts';

const helper = '/usr/lib/mbl/mbl-native';
const profile = '/usr/lib/mbl/apps/seccomp.json';
const confinement = '/usr/lib/mbl/apps/mbl-app.apparmor';
const securityfs = '/sys/kernel/security/apparmor';

/** What the user namespace and the masks leave to a program of an app; the profile of system calls is what stops these. */
const stoppedByProfile = [
  ...['memfd_secret', 'add_key', 'request_key', 'keyctl', 'personality', 'kcmp', 'move_pages'],
  ...['netlink_audit', 'netlink_netfilter'],
];

const eacces = 13;

export interface ContainerOptions {
  readonly slot: number;
  readonly args: readonly string[];
  /** Without the profile of system calls; without that of AppArmor. */
  readonly open?: boolean;
  readonly unconfined?: boolean;
  /** With a network, and these ports: `tcp:8080:80`; `outbound` before them: it may open connections. */
  readonly ports?: readonly string[];
}

/** Starts it and returns what it said once it ended; where it serves something, it goes on and says nothing. */
export async function runContainer(
  board: Board,
  image: AppImageFile,
  { slot, args, open = false, unconfined = false, ports }: ContainerOptions,
): Promise<{ readonly code: number | undefined; readonly stdout: string }> {
  const id = 200_000 + slot;
  const bundle = `/run/hostile-${slot}`;
  const shell = async (command: string, input = ''): Promise<string> => {
    const { code, stdout, stderr } = await board.ssh(command, { input, timeoutMs: 120_000 });
    assert.equal(code, 0, `${command}: ${stderr}`);
    return stdout;
  };
  const seccomp: unknown = open ? undefined : JSON.parse(await shell(`cat ${profile}`));
  const hook = {
    path: '/usr/lib/mbl/apps/network.sh',
    args: ['network.sh', 'up', `${slot}`, ...(ports ?? [])],
  };
  const config = {
    ociVersion: '1.1.0',
    process: {
      user: { uid: id, gid: id },
      args,
      cwd: '/',
      noNewPrivileges: true,
      capabilities: {},
      ...(unconfined ? {} : { apparmorProfile: 'mbl-app' }),
    },
    root: { path: 'rootfs', readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=64k'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'size=1m'] },
    ],
    linux: {
      uidMappings: [{ containerID: id, hostID: id, size: 1 }],
      gidMappings: [{ containerID: id, hostID: id, size: 1 }],
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup', 'user'].map((type) => ({ type })),
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      sysctl: { 'net.ipv4.ip_unprivileged_port_start': '0' },
      ...(seccomp === undefined ? {} : { seccomp }),
    },
    ...(ports === undefined ? {} : { hooks: { createRuntime: [{ ...hook, timeout: 60 }] } }),
  };
  const mount = `mountpoint -q ${bundle}/rootfs || ${helper} app mount ${image.path} ${image.digest} ${bundle}/rootfs ${id} 1`;
  // As mbl-apps does, with the first app.
  await shell(`grep -q '^mbl-app ' ${securityfs}/profiles || cat ${confinement} >${securityfs}/.load`);
  await shell(`mkdir -p ${bundle}/rootfs; cat >${bundle}/config.json; ${mount}`, JSON.stringify(config));
  const crun = `crun --cgroup-manager=disabled run -b ${bundle}`;
  // As a unit of an app, with limits as small as those of the smallest.
  const limits = '-p TasksMax=4 -p MemoryMax=8M -p MemorySwapMax=0 -p DevicePolicy=closed';
  const unit = `systemd-run -q --unit=hostile-${slot} -p Type=forking -p PIDFile=${bundle}/pid ${limits}`;
  const command = args.includes('serve') ? `${unit} ${crun} -d --pid-file ${bundle}/pid` : crun;
  return await board.ssh(`${command} hostile-${slot}`, { timeoutMs: 120_000 });
}

/** The error numbers that `probe` printed, by what was tried. */
function outcomes(said: string): Map<string, number> {
  const lines = said.trim().split('\n');
  assert.ok(lines.length >= 80, said);
  return new Map(lines.map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ').at(-1))]));
}

const wentThrough = (said: string): string[] =>
  [...outcomes(said)].filter(([name, error]) => !name.startsWith('ok_') && error === 0).map(([name]) => name);

/** Nothing of all that it tries goes through; a second line holds most of it where one is taken away. */
export async function holdsHostileApp(board: Board, image: AppImageFile): Promise<void> {
  const probe = async (lines: Pick<ContainerOptions, 'open' | 'unconfined'> = {}): Promise<string> =>
    (await runContainer(board, image, { slot: 5, args: ['/probe'], ...lines })).stdout;
  const held = await probe();
  for (const [name, error] of outcomes(held)) if (name.startsWith('ok_')) assert.equal(error, 0, name);
  assert.deepEqual(wentThrough(held), []);
  const open = await probe({ open: true });
  assert.deepEqual(wentThrough(open), stoppedByProfile, 'without the profile of system calls');
  // Refused before the kernel looks for a module, of which one more may be there some day.
  const kinds = ['packet', 'alg', 'vsock', 'can', 'bluetooth', 'key'].map((name) => `${name}_socket`);
  for (const name of kinds) assert.equal(outcomes(open).get(name), eacces, name);
  const bare = outcomes(await probe({ open: true, unconfined: true }));
  for (const name of kinds) assert.notEqual(bare.get(name), eacces, `${name} without AppArmor`);
  // With neither the profile of system calls nor the kernel's switch it is AppArmor that lets nobody make a user namespace; without that too they are made.
  assert.equal((await board.ssh('sysctl -q -w kernel.unprivileged_userns_clone=1')).code, 0);
  const namespaces = ['unshare_user', 'unshare_user_mount', 'clone_user', 'clone_user_net', 'clone3_user'];
  assert.deepEqual(wentThrough(await probe({ open: true })), stoppedByProfile);
  assert.deepEqual(
    wentThrough(await probe({ open: true, unconfined: true })).filter((name) => namespaces.includes(name)),
    namespaces,
  );
  assert.equal((await board.ssh('sysctl -q -w kernel.unprivileged_userns_clone=0')).code, 0);
  // Users of the system, in no container: the kernel's switches are for all.
  const user = 'setpriv --reuid 65534 --regid 65534 --clear-groups /run/hostile-5/rootfs/probe';
  assert.equal((await board.ssh(`${helper} app unmount /run/hostile-5/rootfs`)).code, 0);
  await board.ssh(`${helper} app mount ${image.path} ${image.digest} /run/hostile-5/rootfs`);
  const outside = wentThrough((await board.ssh(user)).stdout);
  for (const name of [...namespaces, 'io_uring', 'bpf', 'userfaultfd', 'init_module'])
    assert.ok(!outside.includes(name), name);
}
