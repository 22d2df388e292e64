// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type AppDescription, isAppName } from '@mbl/formats';
import { Ajv } from 'ajv';
import { writeBundle } from './bundle.ts';
import { devicePlaces, healthTimerOf, healthUnitOf, pathsOf, unitOf } from './places.ts';
import { appOf } from './testing/app-board.ts';
import { writeUnits } from './unit.ts';

const paths = pathsOf(devicePlaces);
const seccomp = {
  defaultAction: 'SCMP_ACT_ERRNO',
  syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW' }],
};

/** Asks for everything. */
const everything: Partial<AppDescription> = {
  environment: ['LANG=C', 'PATH=/bin'],
  permissions: {
    network: 'outbound',
    ports: [
      { name: 'web', port: 80, protocol: 'tcp', published: 8080 },
      { name: 'coap', port: 5683, protocol: 'udp', published: 5683 },
    ],
    devices: ['/dev/i2c-1'],
    bus: { talk: ['com.mbl.Cloud1'], own: ['com.example.Sensor'] },
  },
  health: { command: ['/bin/check', '--all "$HOME" %n'], interval: 30, timeout: 10, failures: 3, grace: 10 },
  after: ['clock'],
};

function validator() {
  const folder = join(import.meta.dirname, 'testing', 'oci-runtime-spec');
  const ajv = new Ajv({ strict: false });
  const read = (name: string): Record<string, unknown> => {
    const { $schema: _, ...schema } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<
      string,
      unknown
    >;
    return schema;
  };
  for (const name of ['defs.json', 'defs-linux.json', 'config-linux.json']) ajv.addSchema(read(name), name);
  // Other systems than Linux have no part in a bundle.
  for (const other of ['solaris', 'vm', 'windows', 'zos', 'freebsd'])
    ajv.addSchema({ definitions: { none: { not: {} } }, [other]: { not: {} } }, `config-${other}.json`);
  return ajv.compile(read('config-schema.json'));
}

interface Config {
  process: {
    user: Record<string, unknown>;
    args: string[];
    env: string[];
    capabilities: object;
    noNewPrivileges: boolean;
    apparmorProfile: string;
  };
  mounts: { destination: string; source: string; options: string[] }[];
  root: object;
  hooks?: { createRuntime: { path: string; args: string[] }[] };
  linux: { namespaces: { type: string }[]; uidMappings: object[]; seccomp: object; devices?: object[] };
}

function configOf(change: Partial<AppDescription>, slot = 7): Config {
  const devices = (change.permissions?.devices ?? []).map(
    (path) => ({ path, type: 'c', major: 89, minor: 1 }) as const,
  );
  const files = writeBundle({ app: appOf('sensor', '1.0', { change }), slot, paths, seccomp, devices });
  return JSON.parse(files.get('config.json') ?? '') as Config;
}

test("an app's bundle is one by the schema of the runtime-spec", () => {
  const valid = validator();
  for (const change of [
    {},
    everything,
    { users: 'several', user: { uid: 33, gid: 33, groups: [4] } } as const,
  ])
    assert.ok(valid(configOf(change)), JSON.stringify(valid.errors));
  const { process, ...rest } = configOf({});
  assert.equal(valid({ ...rest, process: { ...process, args: 'sh' } }), false);
  assert.equal(valid({ ...rest, process, linux: { namespaces: [{ type: 'world' }] } }), false);
});

test('an app that asks for nothing has nothing: no right, no network, no device, no path of the host', () => {
  const config = configOf({ volumes: [] });
  assert.deepEqual(config.process.capabilities, {
    bounding: [],
    effective: [],
    inheritable: [],
    permitted: [],
    ambient: [],
  });
  assert.equal(config.process.noNewPrivileges, true);
  assert.equal(config.process.apparmorProfile, 'mbl-app');
  assert.deepEqual(config.root, { path: 'rootfs', readonly: true });
  assert.deepEqual(config.linux.namespaces.map(({ type }) => type).toSorted(), [
    'cgroup',
    'ipc',
    'mount',
    'network',
    'pid',
    'user',
    'uts',
  ]);
  assert.deepEqual(config.linux.seccomp, seccomp);
  assert.deepEqual([config.hooks, config.linux.devices], [undefined, undefined]);
  const sources = config.mounts.map(({ source }) => source).filter((source) => source.startsWith('/'));
  assert.deepEqual(sources, ['/run/mbl/apps/sensor/hostname', '/run/mbl/apps/sensor/hosts']);
});

test('what is asked for is there, and no more', () => {
  const config = configOf(everything);
  const at = (path: string) => config.mounts.find(({ destination }) => destination === path);
  assert.deepEqual(at('/var/lib/app')?.options, ['bind', 'nosuid', 'nodev', 'rw', 'nosymfollow']);
  assert.equal(at('/var/lib/app')?.source, '/data/apps/volumes/sensor/state');
  assert.equal(at('/run/dbus/system_bus_socket')?.source, '/run/mbl/apps/bus/socket');
  assert.equal(at('/etc/resolv.conf')?.source, '/run/NetworkManager/resolv.conf');
  assert.deepEqual(config.hooks?.createRuntime[0]?.args, [
    'network.sh',
    'up',
    '7',
    'outbound',
    'tcp:8080:80',
    'udp:5683:5683',
  ]);
  assert.deepEqual(config.process.env, ['LANG=C', 'PATH=/bin']);
  const ports = [{ name: 'web', port: 80, protocol: 'tcp', published: 8080 }] as const;
  const serving = { network: 'none', ports, devices: [], bus: { talk: [], own: [] } } as const;
  assert.deepEqual(
    configOf({ permissions: serving }).hooks?.createRuntime[0]?.args,
    ['network.sh', 'up', '7', 'tcp:8080:80'],
    'who serves a port may not open connections for that',
  );
});

test('an app of one user sees its own number, one of several a range', () => {
  const one = configOf({}, 3);
  assert.deepEqual(one.linux.uidMappings, [{ containerID: 200_003, hostID: 200_003, size: 1 }]);
  assert.deepEqual([one.process.user['uid'], one.process.user['gid']], [200_003, 200_003]);
  const several = configOf({ users: 'several', user: { uid: 33, gid: 34, groups: [4] } }, 3);
  assert.deepEqual(several.linux.uidMappings, [{ containerID: 0, hostID: 1_196_608, size: 65_536 }]);
  assert.deepEqual(several.process.user, { uid: 33, gid: 34, umask: 18, additionalGids: [4] });
});

function unitsOf(change: Partial<AppDescription>): ReadonlyMap<string, string> {
  return writeUnits({ app: appOf('sensor', '1.0', { change }), team: 'weather', slot: 7, paths });
}

test('the unit of an app has its limits, its pauses and its end', () => {
  const unit = unitsOf({
    restart: { when: 'always', delay: 2, longest: 120 },
    stop: { signal: 'SIGQUIT', grace: 25 },
    limits: { memory: 1000, cpu: 150, processes: 5, read: 11, write: 12, log: 13 },
  }).get('mbl-app-sensor.service');
  for (const line of [
    'Restart=always',
    'RestartSec=2000ms',
    'RestartSteps=8',
    'RestartMaxDelaySec=120s',
    'StartLimitIntervalSec=0',
    'KillMode=mixed',
    'KillSignal=SIGQUIT',
    'TimeoutStopSec=25',
    'MemoryMax=1000',
    'MemorySwapMax=0',
    'CPUQuota=150%',
    'TasksMax=5',
    'LogRateLimitBurst=13',
    'OOMPolicy=stop',
    'DevicePolicy=closed',
    'Slice=mbl-apps.slice',
  ])
    assert.ok(unit?.includes(`\n${line}\n`), line);
  assert.match(
    unit ?? '',
    /^ExecStart=\/usr\/lib\/mbl\/mbl-native app mount .*\.erofs [0-9a-f]{64} \S+ 200007 1 then \/usr\/bin\/crun .* run /m,
  );
  assert.doesNotMatch(unit ?? '', /network|health|bus/);
});

test('whatever runs for an app has limits on memory, processors, processes, the disk and the log', () => {
  const limits = { memory: 1000, cpu: 150, processes: 5, read: 11, write: 12, log: 13 };
  const units = unitsOf({
    limits,
    health: { command: ['/bin/check'], interval: 30, timeout: 10, failures: 3, grace: 10 },
  });
  for (const name of ['mbl-app-sensor.service', 'mbl-app-health-sensor.service'])
    for (const line of [
      'MemoryMax=1000',
      'MemorySwapMax=0',
      'CPUQuota=150%',
      'TasksMax=5',
      'IOReadBandwidthMax=/data/apps/volumes 11',
      'IOWriteBandwidthMax=/data/apps/volumes 12',
      'LogRateLimitBurst=13',
    ])
      assert.ok(units.get(name)?.includes(`\n${line}\n`), `${name}: ${line}`);
});

test('no app takes the unit or the folder of somebody else', () => {
  const units = join(import.meta.dirname, '../../../../os/rootfs/device/usr/lib/systemd/system');
  const taken = readdirSync(units).flatMap((name) => /^mbl-app-(.+)\.\w+$/.exec(name)?.[1] ?? []);
  assert.ok(taken.includes('asks') && taken.includes('bus'));
  const others = [healthUnitOf('sensor'), healthTimerOf('sensor'), 'mbl-app-run-0123456789abcdef.service'];
  for (const unit of others) taken.push(/^mbl-app-(.+)\.\w+$/.exec(unit)?.[1] ?? '');
  const folders = Object.values(paths).flatMap((path) =>
    typeof path === 'string' && path.startsWith(`${paths.run}/`)
      ? [path.slice(paths.run.length + 1).split('/')[0] ?? '']
      : [],
  );
  for (const name of [...taken, ...folders]) assert.equal(isAppName(name), false, name);
  for (const name of ['sensor', 'healthy', 'run-again', 'buses']) assert.equal(isAppName(name), true, name);
  assert.equal(unitOf('sensor'), 'mbl-app-sensor.service');
});

test('an app that gives itself no time to end is ended all the same', () => {
  const unit = unitsOf({ stop: { signal: 'SIGTERM', grace: 0 } }).get('mbl-app-sensor.service');
  assert.match(unit ?? '', /^TimeoutStopSec=1$/m);
});

test('nothing that an app chooses gets into a unit but names, numbers and paths without spaces', () => {
  const units = unitsOf({
    ...everything,
    command: ['/bin/a\nExecStart=/bin/b'],
    environment: ['A=\n[Install]'],
  });
  assert.deepEqual(
    [...units.keys()],
    ['mbl-app-sensor.service', 'mbl-app-health-sensor.service', 'mbl-app-health-sensor.timer'],
  );
  for (const text of units.values()) assert.doesNotMatch(text, /bin\/[ab]|Install|HOME|--all/);
  const service = units.get('mbl-app-sensor.service') ?? '';
  assert.match(service, /^After=mbl-app-clock\.service mbl-app-bus\.socket mbl-apps-network\.service$/m);
  assert.match(service, /^Requires=mbl-app-bus\.socket mbl-apps-network\.service$/m);
  assert.match(
    service,
    /^ExecStopPost=-\/usr\/lib\/mbl\/apps\/network\.sh down 7 outbound tcp:8080:80 udp:5683:5683$/m,
  );
  for (const text of [service, units.get('mbl-app-health-sensor.service') ?? ''])
    assert.match(text, /^DevicePolicy=closed\nDeviceAllow=\/dev\/i2c-1 rw$/m);
});
