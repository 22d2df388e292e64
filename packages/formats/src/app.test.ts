// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import { assert as assertProperty, constantFrom, nat, property, string, tuple } from 'fast-check';
import { type AppDescription, formatApp, parseApp } from './app.ts';

const app: AppDescription = {
  version: 1,
  name: 'sensor',
  release: '1.2.0',
  summary: 'Reads the temperature',
  architecture: 'arm64',
  image: { file: 'app.erofs', size: 4096, sha256: 'a'.repeat(64), fsVerity: 'b'.repeat(64) },
  command: ['/bin/sensor', '--fast'],
  environment: ['PATH=/bin', 'EMPTY='],
  workingDirectory: '/var/lib/a b',
  users: 'several',
  user: { uid: 1000, gid: 1001, groups: [8] },
  stop: { signal: 'SIGRTMIN+3', grace: 10 },
  permissions: {
    network: 'outbound',
    ports: [{ name: 'web', port: 80, protocol: 'tcp', published: 8080 }],
    devices: ['/dev/i2c-1'],
    bus: { talk: ['com.mbl.Cloud1'], own: [] },
  },
  limits: { memory: 1 << 26, cpu: 50, processes: 64, read: 1e6, write: 1e6, log: 1000 },
  restart: { when: 'always', delay: 1, longest: 60 },
  health: { command: ['/bin/sensor', '--check'], interval: 30, timeout: 10, failures: 3, grace: 10 },
  volumes: [{ name: 'data', path: '/data', size: 1 << 20, files: 16 }],
  resources: [{ path: '/3303/0/5700', type: 'float', operations: ['read'] }],
  after: ['broker'],
  os: '1.0',
};

/** The text with another value at a path; undefined takes the member away. */
function changed(path: string, value: unknown): string {
  const json = JSON.parse(formatApp(app)) as Record<string, unknown>;
  const parts = path.split('.');
  let at: Record<string, unknown> = json;
  for (const part of parts.slice(0, -1)) at = at[part] as Record<string, unknown>;
  at[parts.at(-1) ?? ''] = value;
  return JSON.stringify(json);
}

test('what is written is read again; what is not known is left out', () => {
  assert.deepEqual(parseApp(formatApp(app), 'app.json'), app);
  assert.deepEqual(parseApp(changed('privileged', true), 'app.json'), app);
  const { health, os, ...plain } = app;
  assert.ok(health && os);
  assert.deepEqual(parseApp(formatApp(plain), 'app.json'), plain);
});

test('what no app can have is refused, whoever signed it', () => {
  for (const [path, value, message] of [
    ['version', 2, /"version" must be 1/],
    ['architecture', 'amd64', /"architecture"/],
    ['name', 'root', /"name" must be/],
    ['name', '../x', /"name" must be/],
    ['release', '1/2', /"release"/],
    ['summary', 'a\nb', /"summary"/],
    ['image.file', '../root.img', /"image\.file"/],
    ['image.file', 'a/b', /"image\.file"/],
    ['image.fsVerity', 'x', /"image\.fsVerity"/],
    ['image.sha256', undefined, /"image\.sha256"/],
    ['command', [], /"command" must not be empty/],
    ['command', ['a\0b'], /"command\[0\]"/],
    ['environment', ['NOVALUE'], /NAME=value/],
    ['environment', ['A B=1'], /NAME=value/],
    ['environment', ['A=1\nB=2'], /"environment\[0\]"/],
    ['workingDirectory', 'data', /"workingDirectory" must be/],
    ['workingDirectory', '/a/../b', /"workingDirectory" must be/],
    ['users', 'all', /"users" must be/],
    ['users', 'one', /"user" must be 0/],
    ['user.uid', 65_535, /"user\.uid"/],
    ['user.gid', -1, /"user\.gid"/],
    ['user.groups', [65_535], /whole numbers/],
    ['stop.signal', 'KILL', /"stop\.signal"/],
    ['permissions.network', 'host', /"network"/],
    ['permissions.devices', ['/etc/shadow'], /below \/dev/],
    ['permissions.devices', ['/dev/../etc/shadow'], /below \/dev/],
    ['permissions.devices', ['/dev/a b'], /below \/dev/],
    ['permissions.bus.own', [':1.5'], /names of a bus/],
    ['permissions.bus.talk', ['org'], /names of a bus/],
    ['permissions.ports.0.port', 0, /a port is a number/],
    ['permissions.ports.0.published', 70_000, /"permissions\.ports|"published/],
    ['permissions.ports.0.protocol', 'icmp', /"protocol"/],
    ['permissions.ports', [app.permissions.ports[0], app.permissions.ports[0]], /is there twice/],
    ['limits.memory', 0, /"limits\.memory" must be more than 0/],
    ['limits.processes', 1e9, /"limits\.processes"/],
    ['limits.log', 0, /"limits\.log" must be more than 0/],
    ['restart.when', 'sometimes', /"when"/],
    ['health.command', [], /"command" must not be empty/],
    ['volumes.0.path', '/proc/sys', /cannot be at \/proc\/sys/],
    ['volumes.0.path', '/', /"path"|cannot be at/],
    ['volumes.0.path', '/data/../etc', /"path" must be/],
    ['volumes.0.path', '/a b', /cannot be at/],
    ['volumes.0.name', '../x', /volumes\[0\]\.name/],
    ['volumes', [app.volumes[0], { ...app.volumes[0], path: '/more' }], /of one name/],
    ['volumes', [app.volumes[0], { ...app.volumes[0], name: 'more', path: '/data/more' }], /in one another/],
    ['resources.0.path', '/3303/0', /object\/instance\/resource/],
    ['resources.0.type', 'executable', /"type"/],
    ['resources.0.operations', ['delete'], /"operations"/],
    ['resources', [app.resources[0], app.resources[0]], /is there twice/],
    ['after', ['../x'], /names of apps/],
    ['os', 'any version', /"os"/],
  ] as const)
    assert.throws(
      () => parseApp(changed(path, value), 'app.json'),
      (error: unknown) => {
        assert.ok(error instanceof MblError, `${path}: ${String(error)}`);
        assert.equal(error.code, 'formats/bad-app');
        assert.match(error.message, message, path);
        return true;
      },
      `${path} = ${JSON.stringify(value)}`,
    );
  assert.throws(() => parseApp(' '.repeat(200_000), 'app.json'), { code: 'formats/bad-app' });
});

test('no text makes the reader throw anything but its own error', () => {
  const good = formatApp(app);
  const words = string({ maxLength: 5, unit: constantFrom(...'{}[],:"01-en/.') });
  const other = tuple(nat(good.length), words).map(
    ([at, text]) => good.slice(0, at) + text + good.slice(at + text.length),
  );
  assertProperty(
    property(other, (text) => {
      try {
        parseApp(text, 'app.json');
      } catch (error) {
        assert.ok(error instanceof MblError && error.code === 'formats/bad-app', String(error));
      }
    }),
    { numRuns: 400 },
  );
});
