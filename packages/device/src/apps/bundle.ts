// SPDX-License-Identifier: Apache-2.0
import type { AppDescription } from '@mbl/formats';
import { profileName } from './confinement.ts';
import { type AppIds, idsOf } from './owner.ts';
import { type AppPaths, systemFiles } from './places.ts';

/** A device of the host that an app may have. */
export interface DeviceNode {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
}

export interface BundleOptions {
  readonly app: AppDescription;
  readonly slot: number;
  readonly paths: AppPaths;
  /** The profile of `linux.seccomp` (runtime-spec, "Seccomp"). */
  readonly seccomp: object;
  readonly devices: readonly DeviceNode[];
}

/** A file of a bundle, by its name. */
export type BundleFiles = ReadonlyMap<string, string>;

const usualPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The bundle of an app (runtime-spec 1.1, "Filesystem Bundle"), and what `crun exec` takes for its health command. */
export function writeBundle(options: BundleOptions): BundleFiles {
  const { app } = options;
  const ids = idsOf(app, options.slot);
  const files = new Map([
    ['config.json', json(configOf(options, ids))],
    ['hostname', `${app.name}\n`],
    ['hosts', `127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ${app.name}\n`],
  ]);
  if (app.health !== undefined) files.set('health.json', json(processOf(app, ids, app.health.command)));
  return files;
}

/** `process` of the configuration, and of a command that runs beside it: nothing of it may gain a right (runtime-spec, "Process"). */
export function processOf(app: AppDescription, ids: AppIds, args: readonly string[]): object {
  const given = app.environment.some((one) => one.startsWith('PATH='));
  const none = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };
  return {
    terminal: false,
    user: {
      ...ids.inside,
      umask: 0o022,
      ...(app.users === 'several' ? { additionalGids: app.user.groups } : {}),
    },
    args,
    env: [...(given ? [] : [usualPath]), ...app.environment],
    cwd: app.workingDirectory,
    capabilities: none,
    noNewPrivileges: true,
    rlimits: [
      { type: 'RLIMIT_NOFILE', soft: 1024, hard: 4096 },
      { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
      { type: 'RLIMIT_MEMLOCK', soft: 65_536, hard: 65_536 },
      { type: 'RLIMIT_MSGQUEUE', soft: 819_200, hard: 819_200 },
    ],
    // crun starts nothing where the kernel lacks it.
    apparmorProfile: profileName,
  };
}

function configOf(options: BundleOptions, ids: AppIds): object {
  const { app, slot, devices, seccomp } = options;
  const mapping = [{ containerID: app.users === 'one' ? ids.base : 0, hostID: ids.base, size: ids.count }];
  return {
    ociVersion: '1.1.0',
    root: { path: 'rootfs', readonly: true },
    hostname: app.name,
    process: processOf(app, ids, app.command),
    mounts: mountsOf(options, ids),
    ...(usesNetwork(app) ? { hooks: { createRuntime: [networkHook(app, slot)] } } : {}),
    linux: {
      // Without the hook that of the network has nothing but `lo`.
      namespaces: ['pid', 'network', 'mount', 'ipc', 'uts', 'cgroup', 'user'].map((type) => ({ type })),
      uidMappings: mapping,
      gidMappings: mapping,
      ...(devices.length === 0
        ? {}
        : { devices: devices.map((one) => ({ ...one, fileMode: 0o666, ...ids.inside })) }),
      // It serves low ports without a capability; nothing routes version 6 to it.
      ...(usesNetwork(app)
        ? {
            sysctl: {
              'net.ipv4.ip_unprivileged_port_start': '0',
              'net.ipv6.conf.all.disable_ipv6': '1',
            },
          }
        : {}),
      rootfsPropagation: 'private',
      maskedPaths: [
        '/proc/acpi',
        '/proc/asound',
        '/proc/interrupts',
        '/proc/kcore',
        '/proc/keys',
        '/proc/kmsg',
        '/proc/latency_stats',
        '/proc/sched_debug',
        '/proc/scsi',
        '/proc/sysrq-trigger',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/sys/devices/virtual/powercap',
        '/sys/firmware',
        '/sys/fs/selinux',
        '/sys/kernel',
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys'],
      seccomp,
    },
  };
}

function mountsOf({ app, paths }: BundleOptions, { inside: { uid, gid } }: AppIds): object[] {
  const memory = (destination: string, mode: string, bytes: number, ...more: string[]) => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', `mode=${mode}`, `size=${bytes}`, `uid=${uid}`, `gid=${gid}`, ...more],
  });
  const bind = (source: string, destination: string, ...options: string[]) => ({
    destination,
    type: 'bind',
    source,
    options: ['bind', 'nosuid', 'nodev', ...options],
  });
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'noexec', 'strictatime', 'mode=755', 'size=65536'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
    },
    // What is in these counts as memory of the app's.
    memory('/dev/shm', '1777', app.limits.memory, 'noexec'),
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    memory('/tmp', '1777', app.limits.memory),
    memory('/run', '0755', Math.min(app.limits.memory, 4 << 20), 'noexec'),
    ...['hostname', 'hosts'].map((name) =>
      bind(`${paths.bundle(app.name)}/${name}`, `/etc/${name}`, 'ro', 'noexec'),
    ),
    ...(usesNetwork(app) ? [bind(systemFiles.names, '/etc/resolv.conf', 'ro', 'noexec')] : []),
    // A link in it is followed by nobody: neither by the app, nor by whoever looks at its files.
    ...app.volumes.map(({ name, path }) => bind(paths.volume(app.name, name), path, 'rw', 'nosymfollow')),
    // Where every client of D-Bus looks for the system bus (D-Bus Specification, "System message bus").
    ...(usesBus(app) ? [bind(paths.bus, '/run/dbus/system_bus_socket', 'noexec')] : []),
  ];
}

export function usesBus({ permissions: { bus } }: AppDescription): boolean {
  return bus.talk.length > 0 || bus.own.length > 0;
}

export function usesNetwork({ permissions: { network, ports } }: AppDescription): boolean {
  return network !== 'none' || ports.length > 0;
}

/** What `network.sh` takes of an app: its slot, whether it may open connections, and `PROTOCOL:PUBLISHED:PORT` of each port. */
export function networkArguments(
  { permissions: { network, ports } }: AppDescription,
  slot: number,
): string[] {
  const outbound = network === 'outbound' ? ['outbound'] : [];
  return [String(slot), ...outbound, ...ports.map((one) => `${one.protocol}:${one.published}:${one.port}`)];
}

function networkHook(app: AppDescription, slot: number): object {
  return {
    path: systemFiles.network,
    args: ['network.sh', 'up', ...networkArguments(app, slot)],
    env: ['PATH=/usr/sbin:/usr/bin'],
    timeout: 60,
  };
}

function json(value: object): string {
  return `${JSON.stringify(value)}\n`;
}
