// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AppRepository } from './testing/app-repository.ts';
import { FakeService } from './testing/fake-service.ts';
import { packed } from './testing/packing.ts';
import { fileServer } from './testing/payload-server.ts';
import { PrivateBus } from './testing/private-bus.ts';
import { eventually, imageJson, KeptLog, TemporaryFolder } from './testing/support.ts';

const sources = fileURLToPath(new URL('../../..', import.meta.url));

/** The flags of Node in a unit's ExecStart, with the folders of the device moved below `root`; the sources stand for the bundle. */
function nodeFlags(unit: string, root: string): string[] {
  const file = join(sources, 'os/rootfs/device/usr/lib/systemd/system', unit);
  const text = readFileSync(file, 'utf8').replaceAll('\\\n', ' ').replaceAll('%d/', '/factory/');
  const command = /^ExecStart=\/usr\/bin\/node (.*)$/m.exec(text)?.[1]?.split(/\s+/) ?? [];
  const flags = command.filter((word) => word.startsWith('--'));
  assert.ok(flags.includes('--permission'), unit);
  return flags.map((flag) =>
    flag.replace(/^(--allow-fs-\w+=)(.*)$/, (_all, name: string, path: string) =>
      path === '/usr/lib/mbl/'
        ? `${name}${sources}`
        : `${name}${/^\/(proc|sys)\//.test(path) ? '' : root}${path}`,
    ),
  );
}

function start(flags: readonly string[], main: string, args: readonly string[], kept: KeptLog): ChildProcess {
  const child = spawn(process.execPath, [...flags, join(sources, 'packages/device/src', main), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) kept.log.info(line);
    });
  }
  return child;
}

async function stop(child: ChildProcess): Promise<number | null> {
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  return exited;
}

test('both processes work together under the permissions of their units, and stop when told', async () => {
  await using service = await FakeService.start();
  await using bus = await PrivateBus.start();
  using repository = await AppRepository.open(new Date());
  const sensor = randomBytes(70 * 4096);
  await repository.release('weather', '1.0', { sensor });
  const mirror = createServer(fileServer(repository)).listen(0, '127.0.0.1');
  await once(mirror, 'listening');
  using folder = new TemporaryFolder();
  const root = folder.path;
  for (const path of [
    'factory',
    'etc/mbl',
    'config/identity',
    'config/incidents',
    'run/mbl',
    'run/mbl-platformd',
    'run/mbl-cloud-client',
    'run/mbl-platformd/asks',
    'run/mbl/apps/answers',
    'config/update',
    'var/lib/mbl-cloud-client',
    'data/apps/incoming',
    'data/apps/orders',
    'data/apps/installed/images',
  ])
    mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, 'factory/factory.json'), service.factory('mbl-board-1'));
  writeFileSync(join(root, 'etc/mbl/image.json'), imageJson);
  writeFileSync(join(root, 'etc/mbl/root.json'), repository.root);
  writeFileSync(join(root, 'run/mbl/boot'), 'slot=b\nattempts=3\n');
  writeFileSync(join(root, 'config/incidents/slot-changed-89ab4567'), 'b after a\n');
  const said = { platformd: new KeptLog(), client: new KeptLog() };
  const platformd = start(
    nodeFlags('mbl-platformd.service', root),
    'platformd/main.ts',
    [
      '--bus',
      bus.address,
      '--reboot-file',
      `${root}/run/mbl-platformd/reboot`,
      '--boot-file',
      `${root}/run/mbl/boot`,
      '--incidents',
      `${root}/config/incidents`,
      '--image',
      `${root}/etc/mbl/image.json`,
      '--release-root',
      `${root}/etc/mbl/root.json`,
      '--update',
      `${root}/config/update`,
      '--apps',
      `${root}/data/apps`,
      '--apps-said',
      `${root}/run/mbl/apps`,
      '--apps-asked',
      `${root}/run/mbl-platformd`,
    ],
    said.platformd,
  );
  const client = start(
    nodeFlags('mbl-cloud-client.service', root),
    'cloud-client/main.ts',
    [
      '--bus',
      bus.address,
      '--factory',
      `${root}/factory`,
      '--image',
      `${root}/etc/mbl/image.json`,
      '--identity',
      `${root}/config/identity`,
      '--runtime',
      `${root}/run/mbl-cloud-client`,
      '--packages',
      `${root}/var/lib/mbl-cloud-client`,
      '--order-pause',
      '10',
    ],
    said.client,
  );
  try {
    await said.platformd.until(/^platform ready/);
    await said.client.until(/^registered device=/);
    const [registration] = service.registrations;
    const nodes = await registration?.read('/3/0');
    assert.ok(Number(nodes?.find(({ path }) => path[2] === 10)?.value) > 0);
    const board = await registration?.read('/33400/0');
    assert.deepEqual(
      board?.map(({ value }) => value),
      ['b', 3, 'slot-changed-89ab4567 slot-changed b after a'],
    );
    await registration?.execute('/33400/0/3', "0='slot-changed-89ab4567'");
    assert.deepEqual(readdirSync(join(root, 'config/incidents')), []);
    await registration?.execute('/3/0/4');
    assert.ok(statSync(join(root, 'run/mbl-platformd/reboot')).isFile());
    assert.equal(statSync(join(root, 'config/identity/key.pem')).mode & 0o777, 0o600);
    const { port } = mirror.address() as AddressInfo;
    const wanted = { team: 'weather', release: '1.0', repository: `http://127.0.0.1:${port}/mirror/` };
    await registration?.write('/33402/0/0', JSON.stringify({ version: 1, releases: [wanted] }));
    const handedOn = join(root, 'data/apps/orders/weather.json');
    await eventually(() => existsSync(handedOn), 60_000);
    const [file] = readdirSync(join(root, 'data/apps/incoming'));
    assert.ok(readFileSync(join(root, 'data/apps/incoming', file ?? '')).equals(sensor));
    const ask = { id: '0123456789abcdef', action: 'log', name: 'sensor' };
    await registration?.write('/33402/0/3', JSON.stringify(ask));
    assert.deepEqual(readdirSync(join(root, 'run/mbl-platformd/asks')), ['0123456789abcdef.json']);
    // More than is held in memory of a request: it comes to the disk, and is read and removed there.
    const forged = packed(new Map([['targets/x', randomBytes(3 << 20)]]));
    await registration?.write('/5/0/0', forged);
    await said.client.until(/^package is here/, 1, 60_000);
    await said.client.until(/^update failed/, 1, 60_000);
    await eventually(() => readdirSync(join(root, 'var/lib/mbl-cloud-client')).length === 0, 60_000);
    const door = join(root, 'run/mbl-cloud-client/orders');
    await eventually(() => statSync(door, { throwIfNoEntry: false })?.isSocket());
  } finally {
    mirror.close();
    assert.deepEqual(await Promise.all([stop(client), stop(platformd)]), [0, 0]);
  }
  assert.deepEqual(service.farewells, ['deregistered']);
  for (const { lines } of Object.values(said))
    assert.ok(!lines.some((line) => /warning|denied/i.test(line)), lines.join('\n'));
});

test('the permissions of the client keep it from files, processes and code that are not its own', () => {
  const flags = nodeFlags('mbl-cloud-client.service', '/nowhere').join(' ');
  assert.doesNotMatch(flags, /allow-(child-process|worker|addons|wasi)|allow-fs-\w+=\*/);
});
