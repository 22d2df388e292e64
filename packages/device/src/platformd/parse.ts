// SPDX-License-Identifier: Apache-2.0
import type { Memory } from './interface.ts';

/** `/proc/meminfo` (proc(5)): its kB are KiB. */
export function parseMemoryInformation(text: string): Memory {
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}: +(\\d{1,15}) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { total: bytes('MemTotal'), available: bytes('MemAvailable') };
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
