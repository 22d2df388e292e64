// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseImage } from '@mbl/formats';
import { type Board, cloneBoard } from '@mbl/lab';
import { fipSize } from '@mbl/releases';
import { type AppImageFile, putAppImage } from './support/hostile/app-image.ts';
import { holdsHostileApp } from './support/hostile/container.ts';
import { boundsFolders, measuresAndMounts } from './support/hostile/native-helper.ts';
import { separatesNetworks } from './support/hostile/network.ts';
import { attackAsRoot, attackFromInside } from './support/sandbox.ts';
import { bootTimeoutMs, offline, online, openWorld, until, type World } from './support/world.ts';

/** A device's life from its first power-on, on the real image; each test goes on where the one before left off. */
describe('a device', { timeout: 1_800_000 }, () => {
  let world: World;
  let board: Board;
  let id: string;
  let certificate: string;
  let copy: Board;
  let app: AppImageFile;

  before(async () => {
    world = await openWorld();
    board = await world.board('first');
  });
  after(async () => await world[Symbol.asyncDispose]());

  /**
   * A board whose hardware clock begins in 1970, with its cable in only when the client runs. systemd lifts the system's clock to the date
   * that systemd was built: that is the time by which the client enrols and registers, before the certificate of the service was made.
   */
  async function startIn1970(on: Board, name: string) {
    await on.start({ clock: '1970' });
    await on.network.down();
    await on.serial.waitFor(new RegExp(`mbl-cloud-client.*starting endpoint=${name}`), {
      timeoutMs: bootTimeoutMs,
    });
    await on.network.up();
    const device = await online(world.client, name);
    const { stdout } = await on.ssh(
      'journalctl -b -o cat --grep "setting system clock|System time advanced"',
    );
    assert.match(
      stdout,
      /^rtc-pl031 .* setting system clock to 1970-01-01T.*\nSystem time advanced to built-in epoch: /,
    );
    return device;
  }

  test('boots the signed chain, enrols itself and is online', async () => {
    await board.start();
    await board.serial.waitFor(/Verifying Hash Integrity \.\.\. sha256,rsa\d+:fit\+ OK/, {
      timeoutMs: bootTimeoutMs,
    });
    await board.serial.waitFor(/mbl-init: root file system root_a opened by dm-verity/, {
      timeoutMs: bootTimeoutMs,
    });
    const device = await online(world.client, 'first');
    ({ id } = device);
    assert.match(id, /^[0-9a-f]{32}$/);
    assert.equal(device.state, 'registered');
    certificate = device.device_key ?? '';
    assert.match(certificate, /^[0-9a-f]{64}$/);
  });

  test('says which boot firmware, kernel and root it runs', async () => {
    const file = join(board.directory, 'image.json');
    const description = parseImage(await readFile(file, 'utf8'), file);
    for (const [instance, [name, { version }]] of Object.entries(description.components).entries()) {
      const values = await world.client.read(id, `/14/${instance}`);
      assert.deepEqual(
        values.map(({ path, value }) => [path, value]),
        [
          [`/14/${instance}/0`, name],
          [`/14/${instance}/2`, version],
        ],
      );
    }
    // What the device declares is what runs.
    const { kernel, root } = description.components;
    const measured = await board.ssh(
      'uname -v; cat /sys/class/block/dm-0/dm/name /sys/class/block/dm-0/dm/uuid',
    );
    const [build = '', ...verity] = measured.stdout.trim().split('\n');
    assert.ok(build.includes(` Debian ${kernel?.version} `), `${build} is ${kernel?.version}`);
    assert.deepEqual(verity, ['root', `VERITY-${root?.rootHash}`]);
    const { bank_a: bank } = description.flash.parts;
    const flash = await readFile(join(board.directory, 'flash.bin'));
    const held = flash.subarray(bank?.offset, (bank?.offset ?? 0) + (bank?.size ?? 0));
    const firmware = createHash('sha256')
      .update(held.subarray(0, fipSize(held)))
      .digest('hex');
    const shown = [];
    for (const path of ['/33400/0/4', '/33400/0/5', '/33400/0/6'])
      shown.push((await world.client.read(id, path))[0]?.value);
    assert.deepEqual(shown, ['a', firmware, root?.rootHash]);
  });

  test('keeps its key to itself', async () => {
    const { stdout } = await board.ssh('stat -c "%a %U" /config/identity /config/identity/key.pem');
    assert.equal(stdout.trim(), '700 mbl-cloud-client\n600 mbl-cloud-client');
    await assert.rejects(world.client.read(id, '/0'), 'object 0 is not readable (LwM2M Core 1.1 §6.3.1)');
    const { stdout: leaked } = await board.ssh('journalctl -b -o cat | grep -c "PRIVATE KEY" || true');
    assert.equal(leaked.trim(), '0');
  });

  test('tells what it had to do to come back, once, and forgets it', async () => {
    assert.equal((await board.ssh('stat -c "%a %U" /config/incidents')).stdout.trim(), '755 mbl-platformd');
    const [slot, attempts] = await world.client.read(id, '/33400/0');
    assert.deepEqual([slot?.name, slot?.value, attempts?.name], ['Slot', 'a', 'Boot Attempts']);
    assert.ok(typeof attempts?.value === 'number' && attempts.value <= 2, `${attempts?.value} attempts`);
    // As the storage unit writes it.
    await board.ssh('echo "said by hand" > /config/incidents/watchdog-0123abcd');
    await board.ssh('systemctl restart mbl-cloud-client');
    await until(
      'the incident is forgotten',
      async () => (await board.ssh('ls /config/incidents')).stdout.trim() === '',
      120_000,
    );
    const filter = { device_id__eq: id, event_type__eq: 'device.board-recovered' };
    const events = (await world.client.listEvents({ filter })).filter(
      ({ data }) => data['incident'] === 'watchdog-0123abcd',
    );
    assert.deepEqual(
      events.map(({ data }) => [data['kind'], data['detail']]),
      [['watchdog', 'said by hand']],
    );
    await online(world.client, 'first');
  });

  test('that lost its key waits until its owner lets it use its code again, and is itself with a new one', async () => {
    await board.ssh('systemctl stop mbl-cloud-client && rm /config/identity/*');
    await board.ssh('systemctl start --no-block mbl-cloud-client');
    await board.serial.waitFor(/enrolment refused reason=.*used before.*mbl device enrol first --again/, {
      timeoutMs: bootTimeoutMs,
    });
    await world.client.rearmEnrolment('first');
    const device = await online(world.client, 'first');
    assert.equal(device.id, id);
    assert.notEqual(device.device_key, certificate);
    certificate = device.device_key ?? '';
  });

  test('holds whoever takes over one of its services inside that service', async () => {
    await attackAsRoot(board);
    const connect = `bash -c 'echo >/dev/tcp/10.0.2.2/${world.file.ports.est}'`;
    assert.equal((await board.ssh(connect)).code, 0, 'there is somebody to talk to');
    // What asks the secure world to try a firmware is not what faces the network.
    const tee = 'ls /dev/tee0';
    assert.equal((await board.ssh(tee)).code, 0, 'there is a TEE');
    await attackFromInside(board, [
      {
        unit: 'mbl-cloud-client',
        script: 'cloud-client.mjs',
        attempts: {
          'read the metadata of releases': 'ls /config/update/metadata/*',
          'see the TEE': tee,
          'keep an image that nobody ordered': ': >/data/apps/incoming/image',
          'choose the slot': 'dd if=/dev/zero of=/run/mbl/slots/state count=1',
          'write the slot that runs':
            'slot=$(sed -n s/slot=//p /run/mbl/boot); dd if=/run/mbl/slots/root_$slot of=/run/mbl/slots/root_$slot count=1 conv=notrunc',
        },
      },
      {
        unit: 'mbl-platformd',
        script: 'platformd.mjs',
        attempts: {
          'read the key of the device': 'cat /config/identity/key.pem',
          'open a connection': connect,
        },
      },
    ]);
    await online(world.client, 'first');
  });

  test('mounts of an app what was measured, for one user; holds its folders to their size', async () => {
    app = await putAppImage(board, world.directory, '/data/apps/app.erofs');
    await measuresAndMounts(board, app);
    await boundsFolders(board);
  });

  test('lets nothing of what a hostile app tries go through', async () => {
    await holdsHostileApp(board, app);
  });

  test('keeps apps away from each other and from the device in the network', async () => {
    await separatesNetworks(board, app, world.file.ports.est);
  });

  test('is back after the service was restarted', async () => {
    await world.restartService(2000);
    const device = await online(world.client, 'first');
    assert.equal(device.id, id);
  });

  test('is shown offline within seconds of losing its network, and comes back', async () => {
    await board.network.down();
    await offline(world.client, 'first', 20_000);
    await board.network.up();
    assert.equal((await online(world.client, 'first')).id, id);
  });

  test('keeps identity, key, certificate and host key over a power cut, with the clock in 1970 and the network late', async () => {
    // What ext4 does not write by itself for half a minute is lost, or zeros, when the power goes between.
    const key = '/config/ssh/ssh_host_ed25519_key';
    const digest = async () => (await board.ssh(`sha256sum ${key}`, { timeoutMs: bootTimeoutMs })).stdout;
    const made = await board.ssh(`rm ${key}* && sync && systemctl restart mbl-ssh-key`);
    assert.equal(made.code, 0, made.stderr);
    const before = await digest();
    await sleep(6000);
    await board.powerOff();
    await offline(world.client, 'first', 20_000);
    // For the last test: its disk as it is now, with the identity.
    copy = await cloneBoard(board, 'copy');
    const device = await startIn1970(board, 'first');
    assert.equal(device.id, id);
    assert.equal(device.device_key, certificate);
    assert.equal(await digest(), before, 'a host key that was just made survives the power cut');
    const all = await world.client.listDevices({ filter: { endpoint_name__eq: 'first' } });
    assert.equal(all.length, 1);
  });

  test('lives beside another one, which enrols with the clock in 1970 and the network late', async () => {
    const second = await world.board('second');
    const device = await startIn1970(second, 'second');
    assert.notEqual(device.id, id);
    assert.ok((await online(world.client, 'first', 1000)).online);
    await second.powerOff();
  });

  test('is copied, and the copy is refused and shown while the original stays online', async () => {
    await using copied = copy;
    await copied.start();
    const event = await until(
      'the copy is recorded',
      async () =>
        (await world.client.listEvents({ filter: { device_id__eq: id } })).find(
          ({ event_type }) => event_type === 'device.clone-suspected',
        ),
      bootTimeoutMs,
    );
    assert.equal(event.device_id, id);
    await copied.serial.waitFor(/mbl-cloud-client.*connection failed.*already-connected/, {
      timeoutMs: bootTimeoutMs,
    });
    assert.ok((await online(world.client, 'first', 1000)).online, 'the original is still served');
  });
});
