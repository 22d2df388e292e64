// SPDX-License-Identifier: Apache-2.0
import { readlink } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { readText } from '@mbl/formats';
import { type Implementation, method } from './method.ts';
import type { SystemOptions } from './options.ts';
import { list, oneOf, type ShapeOf, struct, text } from './shapes.ts';

const interfaceKind = oneOf('ethernet', 'wifi', 'cellular', 'other');

const network = struct({
  /** Those that are up, without the loopback. */
  interfaces: list(struct({ name: text, kind: interfaceKind, addresses: list(text) })),
  /** Addresses of the default routes' gateways. */
  routers: list(text),
});

export type InterfaceKind = ShapeOf<typeof interfaceKind>;
export type Network = ShapeOf<typeof network>;

export const networkMethods = {
  GetNetwork: method({}, network),
};

const maxBytes = 256 * 1024;
const maxEntries = 64;

export function readNetwork({ root }: SystemOptions): Implementation<typeof networkMethods> {
  const read = async (path: string) => (await readText(join(root, path), maxBytes)) ?? '';
  return {
    getNetwork: async () => ({
      interfaces: await Promise.all(
        Object.entries(networkInterfaces())
          .filter(([, addresses]) => addresses?.some(({ internal }) => !internal) === true)
          .slice(0, maxEntries)
          .map(async ([name, addresses = []]) => ({
            name,
            kind: await kindOf(root, name, read),
            addresses: addresses.slice(0, maxEntries).map(({ address }) => address),
          })),
      ),
      routers: parseRoutes(await read('proc/net/route')),
    }),
  };
}

async function kindOf(
  root: string,
  name: string,
  read: (path: string) => Promise<string>,
): Promise<InterfaceKind> {
  const type = /^DEVTYPE=(.*)$/m.exec(await read(join('sys/class/net', name, 'uevent')))?.[1];
  if (type === 'wlan') return 'wifi';
  if (type === 'wwan') return 'cellular';
  // Type 1 is ARPHRD_ETHER; bridges and tunnels have it too, but no device behind them.
  const ethernet = (await read(join('sys/class/net', name, 'type'))).trim() === '1';
  const hardware = await readlink(join(root, 'sys/class/net', name, 'device')).catch(() => undefined);
  return type === undefined && ethernet && hardware !== undefined ? 'ethernet' : 'other';
}

/** The gateways of default routes in `/proc/net/route` (IPv4): hexadecimal, in the byte order of the machine, little-endian. */
export function parseRoutes(text: string): string[] {
  const routers = new Set<string>();
  for (const line of text.split('\n').slice(1, 257)) {
    const [, destination, gateway] = line.split('\t');
    if (destination !== '00000000' || gateway === undefined || !/^[0-9A-F]{8}$/.test(gateway)) continue;
    if (gateway !== '00000000') routers.add(Buffer.from(gateway, 'hex').toReversed().join('.'));
  }
  return [...routers];
}
