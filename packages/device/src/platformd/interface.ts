// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

/** The D-Bus name, the interface, and the path of its only object. */
export const platformName = 'com.mbl.Platform1';
export const platformPath = '/com/mbl/Platform1';

/** Bytes. */
export interface Memory {
  readonly total: number;
  readonly available: number;
}

export interface NetworkInterface {
  readonly name: string;
  readonly kind: 'ethernet' | 'wifi' | 'cellular' | 'other';
  readonly addresses: readonly string[];
}

export interface Network {
  /** Those that are up, without the loopback. */
  readonly interfaces: readonly NetworkInterface[];
  /** Addresses of the default routes' gateways. */
  readonly routers: readonly string[];
}

/** What `mbl-platformd` does for `mbl-cloud-client`. */
export interface Platform {
  reboot(): Promise<void>;
  memory(): Promise<Memory>;
  network(): Promise<Network>;
}

/** Signatures on the bus: `[in, out]`. */
export const platformMethods = {
  Reboot: ['', ''],
  GetMemory: ['', '(tt)'],
  GetNetwork: ['', '(a(ssas)as)'],
} as const;

export function parseMemory(value: unknown): Memory {
  if (!Array.isArray(value)) throw malformed('GetMemory');
  const [total, available] = value as unknown[];
  if (typeof total !== 'bigint' || typeof available !== 'bigint') throw malformed('GetMemory');
  return { total: Number(total), available: Number(available) };
}

const kinds: readonly unknown[] = [
  'ethernet',
  'wifi',
  'cellular',
  'other',
] satisfies NetworkInterface['kind'][];

export function parseNetwork(value: unknown): Network {
  const [interfaces, routers] = isArray(value) ? value : [];
  if (!isArray(interfaces) || !isStrings(routers)) throw malformed('GetNetwork');
  return {
    routers,
    interfaces: interfaces.map((one) => {
      const [name, kind, addresses] = isArray(one) ? one : [];
      if (typeof name !== 'string' || !kinds.includes(kind) || !isStrings(addresses))
        throw malformed('GetNetwork');
      return { name, kind: kind as NetworkInterface['kind'], addresses };
    }),
  };
}

function isArray(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length <= 256;
}

function isStrings(value: unknown): value is string[] {
  return isArray(value) && value.every((one) => typeof one === 'string');
}

function malformed(method: string): MblError {
  return new MblError('device/platform-malformed', `the answer to ${method} is not of its type`);
}
