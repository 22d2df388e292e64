// SPDX-License-Identifier: Apache-2.0
//
// What apps with a network reach, and who reaches them (os/rootfs/device/usr/lib/mbl/apps/network.nft).
import assert from 'node:assert/strict';
import type { Board } from '@mbl/lab';
import type { AppImageFile } from './app-image.ts';
import { runContainer } from './container.ts';

const serving = { slot: 6, port: 'tcp:8081:80', address: '198.18.0.8' };
const reachable = '60';
/** Seconds until what is dropped without an answer counts as such. */
const dropped = '3';

/** `outside`: a port of the development host, which a board reaches at 10.0.2.2. */
export async function separatesNetworks(board: Board, image: AppImageFile, outside: number): Promise<void> {
  const shell = async (command: string): Promise<string> => {
    const { code, stdout, stderr } = await board.ssh(command, { timeoutMs: 120_000 });
    assert.equal(code, 0, `${command}: ${stderr}`);
    return stdout.trim();
  };
  // As a unit of an app does.
  const wants = '-p Requires=mbl-apps-network.service -p After=mbl-apps-network.service';
  await shell(`systemd-run -q --unit=hostile-network ${wants} sleep infinity`);
  const serve = { slot: serving.slot, args: ['/probe', 'serve', '80'], ports: [serving.port] };
  assert.equal((await runContainer(board, image, serve)).code, 0);
  assert.equal(await shell(`exec 3<>/dev/tcp/${serving.address}/80 && cat <&3`), 'app', 'the device asks it');

  const connects = async (address: string, port: number, ports = ['outbound']): Promise<string> => {
    const args = ['/probe', 'connect', address, `${port}`, reachable];
    const { stdout } = await runContainer(board, image, { slot: 7, args, ports });
    await shell(`/usr/lib/mbl/apps/network.sh down 7 ${ports.join(' ')}`);
    return stdout.trim();
  };
  // ECONNREFUSED (111) from the rules, EHOSTUNREACH (113) from the bridge that joins no two apps.
  assert.equal(await connects('10.0.2.2', outside), 'connect 0', 'what is outside is there');
  assert.equal(await connects('10.0.2.2', outside, ['tcp:8082:80']), 'connect 111', 'not for a port alone');
  assert.equal(await connects('198.18.0.1', 22), 'connect 111', "the device's service at the bridge");
  assert.equal(await connects('10.0.2.15', 22), 'connect 111', 'and at its other address');
  assert.equal(await connects('10.0.2.15', 8081), 'connect 111', "another app's port of the device");
  assert.equal(await connects(serving.address, 80), 'connect 113', 'another app');
  assert.equal(
    await connects('10.0.2.2', outside, ['outbound', 'tcp:8081:80']),
    '',
    "no app gets another one's port",
  );
  assert.equal(
    await connects('10.0.2.2', outside, ['outbound', 'tcp:22:80']),
    '',
    'nor one that the device serves',
  );

  // Somebody in a network of the device.
  const neighbour = 'ip netns exec neighbour /run/hostile-7/rootfs/probe connect';
  await shell(
    [
      'ip netns add neighbour && ip link add out0 type veth peer name eth0 netns neighbour',
      'ip addr add 192.0.2.1/24 dev out0 && ip link set out0 up',
      'ip -n neighbour addr add 192.0.2.2/24 dev eth0 && ip -n neighbour link set eth0 up',
      'ip -n neighbour route add default via 192.0.2.1',
    ].join(' && '),
  );
  assert.equal(await shell(`${neighbour} 192.0.2.1 22 ${reachable}`), 'connect 0');
  assert.equal(await shell(`${neighbour} 192.0.2.1 8081 ${reachable}`), 'connect 0', 'the published port');
  assert.notEqual(await shell(`${neighbour} ${serving.address} 80 ${dropped}`), 'connect 0', 'not past it');
  assert.notEqual(
    await shell(`${neighbour} 10.0.2.2 ${outside} ${dropped}`),
    'connect 0',
    'the device is no way',
  );

  await shell(
    `systemctl stop hostile-6; crun delete -f hostile-6; /usr/lib/mbl/apps/network.sh down 6 ${serving.port}`,
  );
  assert.doesNotMatch(await shell('nft list map inet mbl_apps published'), /8081/);
  await shell('ip netns delete neighbour && systemctl stop hostile-network');
  await shell(
    'while ! systemctl show -p ActiveState mbl-apps-network | grep -q inactive; do sleep 0.5; done',
  );
  assert.equal(
    await shell('cat /proc/sys/net/ipv4/ip_forward; nft list tables; ls /sys/class/net'),
    '0\neth0\nlo',
  );
}
