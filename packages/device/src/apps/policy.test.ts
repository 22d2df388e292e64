// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AppDescription } from '@mbl/formats';
import { compareVersions } from './obstacles.ts';
import { notAllowed, readPolicy } from './policy.ts';
import { appOf } from './testing/app-board.ts';

const policy = (...texts: string[]) =>
  readPolicy(texts.map((text, i) => ({ path: `/etc/mbl/policy.d/${i}.yaml`, bytes: Buffer.from(text) })));

const rules = policy(
  `allow:
  - team: weather
    network: outbound
    ports: ["80", 8000-8999]
    devices: [/dev/i2c-1]
    limits: { memory: 512 MiB }
  - { team: "*", talk: [com.example.Time] }
`,
  `allow: [{ team: weather, app: display, own: [com.example.*], limits: { cpu: 400, volumes: 1 GiB } }]`,
);

const nothing = { network: 'none', ports: [], devices: [], bus: { talk: [], own: [] } } as const;
const ask = (change: Partial<AppDescription['permissions']>, more: Partial<AppDescription> = {}) =>
  appOf('sensor', '1', { change: { permissions: { ...nothing, ...change }, ...more } });
const port = (published: number) => ({ name: 'web', port: 80, protocol: 'tcp', published }) as const;

test('without a policy an app has the names of the cloud and the device, and usual limits', () => {
  const none = policy();
  const limits = appOf('sensor', '1').limits;
  assert.equal(notAllowed(none, 'weather', ask({})), undefined);
  const bus = { talk: ['com.mbl.Cloud1', 'com.mbl.Device1'], own: [] };
  assert.equal(notAllowed(none, 'weather', ask({ bus })), undefined);
  for (const [app, what] of [
    [ask({ network: 'outbound' }), /^the network/],
    [ask({ ports: [port(8080)] }), /^the port 8080\/tcp$/],
    [ask({ devices: ['/dev/i2c-1'] }), /i2c-1/],
    [ask({ bus: { talk: ['org.freedesktop.systemd1'], own: [] } }), /to talk to org.freedesktop.systemd1/],
    [ask({ bus: { talk: [], own: ['com.mbl.Cloud1'] } }), /the name com.mbl.Cloud1/],
    [ask({}, { limits: { ...limits, memory: 1 << 30 } }), /1 GiB of memory, and may have 128 MiB/],
    [ask({}, { limits: { ...limits, cpu: 200 } }), /200 % of a core/],
    [ask({}, { stop: { signal: 'SIGTERM', grace: 600 } }), /^600 s of time to end, and may have 30 s$/],
    [ask({}, { volumes: [{ name: 'all', path: '/all', size: 1 << 30, files: 1 }] }), /1 GiB of volumes/],
  ] as const)
    assert.match(notAllowed(none, 'weather', app) ?? '', what);
});

test('a rule allows what it says to those that it names', () => {
  const wide = ask({
    network: 'outbound',
    ports: [port(80), port(8999)],
    devices: ['/dev/i2c-1'],
    bus: { talk: ['com.example.Time'], own: [] },
  });
  assert.equal(notAllowed(rules, 'weather', wide), undefined);
  assert.match(notAllowed(rules, 'radio', wide) ?? '', /network/);
  assert.equal(notAllowed(rules, 'radio', ask({ bus: { talk: ['com.example.Time'], own: [] } })), undefined);
  for (const published of [79, 81, 7999, 9000])
    assert.match(notAllowed(rules, 'weather', ask({ ports: [port(published)] })) ?? '', /the port/);
  const own = ask({ bus: { talk: [], own: ['com.example.Sensor'] } });
  assert.match(notAllowed(rules, 'weather', own) ?? '', /the name/);
  assert.equal(notAllowed(rules, 'weather', { ...own, name: 'display' }), undefined);
  const other = {
    ...own,
    name: 'display',
    permissions: { ...nothing, bus: { talk: [], own: ['com.examples.A'] } },
  };
  assert.match(notAllowed(rules, 'weather', other) ?? '', /com.examples.A/);
});

test('a policy that is not well formed is refused with its line', () => {
  for (const text of ['allow: [{ team: Weather }]', 'deny: []', 'allow: [{ team: a, ports: [http] }]'])
    assert.throws(() => policy(text), { code: 'formats/bad-recipe' }, text);
});

test("the images' policies are well formed", () => {
  const folder = join(import.meta.dirname, '../../../../os/rootfs/development/etc/mbl/policy.d');
  const files = readdirSync(folder).map((name) => {
    const path = join(folder, name);
    return { path, bytes: readFileSync(path) };
  });
  const development = readPolicy(files);
  assert.equal(
    notAllowed(development, 'anybody', ask({ network: 'outbound', ports: [port(1024)] })),
    undefined,
  );
  assert.match(notAllowed(development, 'anybody', ask({ ports: [port(1023)] })) ?? '', /1023/);
});

test('versions are compared by their numbers', () => {
  const ordered = ['0.9', '1', '1.2', '1.10', '2.0'];
  for (const [i, one] of ordered.entries())
    for (const [j, other] of ordered.entries()) assert.equal(compareVersions(one, other), Math.sign(i - j));
  assert.equal(compareVersions('1.2+abcdef01', '1.2.0'), 0);
});
