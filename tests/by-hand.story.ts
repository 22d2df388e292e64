// SPDX-License-Identifier: Apache-2.0
//
// A board that never reached its service gets a new version from a stick, then another one by SSH; what is not for it, or not signed, or
// leads out of its folder, is refused by the same rules, whoever plugged it in.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { findWorkspace } from '@mbl/cli';
import { factoryFor, parseRelease, type Release } from '@mbl/formats';
import { type Board, createBoard } from '@mbl/lab';
import { loadKeys } from '@mbl/trust';
import { mblJson, temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs, imageOf, until } from './support/world.ts';

const patience = { timeoutMs: bootTimeoutMs };
const limit = 1_800_000;
const name = 'alone';

describe('a board without a service', { timeout: limit }, () => {
  const stack = new AsyncDisposableStack();
  let folder: string;
  let environment: Record<string, string>;
  let board: Board;
  const releases = new Map<string, Release>();

  before(async () => {
    ({ path: folder } = stack.use(await temporaryFolder()));
    const state = join(folder, 'state');
    const own = findWorkspace();
    environment = { MBL_STATE: state, MBL_CACHE: own.cache };
    const development = await imageOf('development');
    await cp(join(own.state, 'keys'), join(state, 'keys'), { recursive: true });
    const layer = join(folder, 'layer');
    await mkdir(join(layer, 'images'), { recursive: true });
    await writeFile(join(layer, 'layer.yaml'), 'name: by-hand\nimages: images\n');
    const image = 'extends: development\ntitle: Next\nhostname: next\n';
    await writeFile(join(layer, 'images/next.yaml'), image);
    const next = await mbl<{ directory: string }>('build', '--image', 'next', '--layer', layer);
    await release('1.0', development, 0);
    await release('1.1', next.directory, 1);
    await release('1.2', development, 1);
    await mbl('keys', 'init', '--keys', join(folder, 'foreign'));
    const forged = ['--repository', join(folder, 'forged')];
    await mbl('release', 'create', '1.1', next.directory, ...forged, '--rollback-index', '9', '--level', '1');
    await mbl('release', 'sign', ...forged, '--keys', join(folder, 'foreign'));
    await mbl('release', 'export', '1.1', join(folder, 'stick'));
    await mbl('release', 'export', '1.1', join(folder, 'stick-forged'), ...forged);
    await mbl('release', 'export', '1.0', join(folder, 'stick-old'));
    const { certificateFile } = (await loadKeys(join(state, 'keys'))).keys['device-ca'];
    board = stack.use(
      await createBoard({
        directory: join(state, 'boards', name),
        name,
        imageDirectory: development,
        factory: factoryFor(
          // Nothing listens there.
          { ports: { http: 1, est: 1, lwm2m: 1 } },
          {
            endpointName: name,
            enrolmentCode: 'none',
            host: '10.0.2.2',
            trust: await readFile(certificateFile ?? '', 'utf8'),
          },
        ),
      }),
    );
    // Three sticks from the first moment. The label is what a stick is looked at for; the other two are started by hand, one after the other.
    await board.start({
      disks: [
        ['stick', 'MBL-RELEASE'],
        ['stick-forged', 'FORGED'],
        ['stick-old', 'OLD'],
      ].map(([stick = '', label = ''], index) => ({
        folder: join(folder, stick),
        label,
        device: `virtio-blk-device,bus=virtio-mmio-bus.${25 + index}`,
      })),
    });
  });
  after(async () => await stack.disposeAsync());

  const mbl = async <T>(...words: string[]): Promise<T> =>
    await mblJson<T>(words, { environment, timeout: limit });

  async function release(version: string, image: string, index: number): Promise<void> {
    const made = await mbl<{ release: unknown }>(
      ...['release', 'create', version, image, '--rollback-index', `${index}`, '--level', '1'],
    );
    releases.set(version, parseRelease(JSON.stringify(made.release), version));
    await mbl('release', 'sign');
  }

  const shell = async (command: string): Promise<{ code: number; said: string }> => {
    const { code, stdout, stderr } = await board.ssh(command, patience);
    return { code, said: `${stdout}${stderr}` };
  };

  async function proved(version: string): Promise<void> {
    const { code, said } = await shell('systemctl start mbl-good-boot');
    assert.equal(code, 0, said);
    assert.match(
      (await shell('mbl-update --status')).said,
      new RegExp(`^state=confirmed\nrelease=${version}\n`),
    );
  }

  /** What the unit of a stick said at last, once it has ended. */
  async function plugged(device: string): Promise<string> {
    await shell(`systemctl start mbl-medium@${device}.service`);
    await until(
      `${device} is dealt with`,
      async () => /^(inactive|failed)/.test((await shell(`systemctl is-active mbl-medium@${device}`)).said),
      bootTimeoutMs,
    );
    return (await shell(`journalctl -o cat -u mbl-medium@${device} -t mbl-medium`)).said;
  }

  /** A slot holds what a release says, byte for byte; looked at from outside. */
  async function holds(slot: 'a' | 'b', version: string): Promise<void> {
    for (const component of releases.get(version)?.images[0]?.components ?? []) {
      const partition = { kernel: 'boot', root: 'root' }[component.name];
      if (partition === undefined) continue;
      const bytes = await board.readPart(`${partition}_${slot}`, { length: component.size });
      assert.equal(createHash('sha256').update(bytes).digest('hex'), component.sha256, component.name);
    }
  }

  test('takes the version that a stick brings, though it is registered nowhere', async () => {
    await board.serial.waitFor(/mbl-medium.*a medium orders 1\.1/, patience);
    await board.serial.waitFor(/mbl-medium.*1\.1 is in its slot/, { timeoutMs: 2 * bootTimeoutMs });
    await board.serial.waitFor(/mbl-health.*slot b is healthy/, patience);
    await proved('1.1');
    assert.equal(
      (await shell('cat /proc/sys/kernel/hostname /run/mbl/boot')).said,
      'next\nslot=b\nattempts=1\n',
    );
  });

  test('carries out the order of a stick once, however long that stays', async () => {
    const said = async () => (await shell('journalctl -o cat -t mbl-medium')).said;
    await until(
      'the stick is known',
      async () => (await said()).includes('carried out before'),
      bootTimeoutMs,
    );
    assert.equal((await shell('systemctl --failed --no-legend')).said, '');
    const mounted = async () => (await shell('grep -c vfat /proc/mounts')).said.trim();
    await until('nothing of it stays mounted', async () => (await mounted()) === '0', bootTimeoutMs);
  });

  test('refuses a stick that others signed, and one with a release of before', async () => {
    assert.match(await plugged('vdc1'), /orders 1\.1[^]*not signed as it must be/);
    assert.match(await plugged('vdd1'), /orders 1\.0[^]*rollback index is 0/);
    assert.equal((await shell('systemctl --failed --no-legend')).said, '', 'no version is judged by that');
  });

  test('refuses a folder whose links lead elsewhere, and shows nothing of what is there', async () => {
    const lie = 'mkdir -p /run/lie/metadata; ln -sf /etc/shadow /run/lie/metadata/timestamp.json';
    const { code, said } = await shell(`${lie}; mbl-update 1.2 /run/lie`);
    assert.equal(code, 1, said);
    assert.doesNotMatch(said, /root:/);
    assert.equal((await shell('mbl-update "../1.2"')).code, 1);
    assert.equal((await shell('mbl-update')).code, 2);
    assert.match((await shell('mbl-update --status')).said, /^state=confirmed\nrelease=1\.1\n/);
  });

  test('gets another version by SSH, from the desk', async () => {
    const updated = await mbl<{ release: string }>('device', 'update', name, '1.2', '--ssh');
    assert.equal(updated.release, '1.2');
    assert.equal(
      (await shell('cat /proc/sys/kernel/hostname /run/mbl/boot')).said,
      'mbl\nslot=a\nattempts=1\n',
    );
    await board.powerOff();
    await holds('a', '1.2');
    // Nothing that was refused, and nothing that was ordered since, wrote to the slot that ran.
    await holds('b', '1.1');
  });
});
