// SPDX-License-Identifier: Apache-2.0
import { open, readlink } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { readText } from '@mbl/formats';

import type { Memory, Network, NetworkInterface, Platform } from './interface.ts';
import { parseMemoryInformation, parseRoutes } from './parse.ts';

export interface SystemOptions {
  /** Where `/proc` and `/sys` are. */
  readonly root: string;
  /** Making this file restarts the board: `mbl-reboot.path` waits for it. */
  readonly rebootFile: string;
}

const maxProcBytes = 256 * 1024;
const maxEntries = 64;

/** The running system, read from the kernel's file systems. */
export function readSystem(options: SystemOptions): Platform {
  const read = async (path: string) => (await readText(join(options.root, path), maxProcBytes)) ?? '';
  return {
    async reboot() {
      await using file = await open(options.rebootFile, 'w', 0o644);
      await file.writeFile('requested\n');
    },
    memory: async (): Promise<Memory> => parseMemoryInformation(await read('proc/meminfo')),
    network: async (): Promise<Network> => ({
      interfaces: await Promise.all(
        Object.entries(networkInterfaces())
          .filter(([, addresses]) => addresses?.some(({ internal }) => !internal) === true)
          .slice(0, maxEntries)
          .map(async ([name, addresses = []]) => ({
            name,
            kind: await interfaceKind(options.root, name, read),
            addresses: addresses.map(({ address }) => address),
          })),
      ),
      routers: parseRoutes(await read('proc/net/route')),
    }),
  };
}

async function interfaceKind(
  root: string,
  name: string,
  read: (path: string) => Promise<string>,
): Promise<NetworkInterface['kind']> {
  const type = /^DEVTYPE=(.*)$/m.exec(await read(join('sys/class/net', name, 'uevent')))?.[1];
  if (type === 'wlan') return 'wifi';
  if (type === 'wwan') return 'cellular';
  // Type 1 is ARPHRD_ETHER; bridges and tunnels have it too, but no device behind them.
  const ethernet = (await read(join('sys/class/net', name, 'type'))).trim() === '1';
  const hardware = await readlink(join(root, 'sys/class/net', name, 'device')).catch(() => undefined);
  return type === undefined && ethernet && hardware !== undefined ? 'ethernet' : 'other';
}
