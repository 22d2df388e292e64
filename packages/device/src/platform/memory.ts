// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { readText } from '@mbl/formats';
import { type Implementation, method } from './method.ts';
import type { SystemOptions } from './options.ts';
import { type ShapeOf, struct, uint64 } from './shapes.ts';

/** Bytes. */
const memory = struct({ total: uint64, available: uint64 });

export type Memory = ShapeOf<typeof memory>;

export const memoryMethods = {
  GetMemory: method({}, memory),
};

const maxBytes = 64 * 1024;

export function readMemory({ root }: SystemOptions): Implementation<typeof memoryMethods> {
  return {
    getMemory: async () =>
      parseMemoryInformation((await readText(join(root, 'proc/meminfo'), maxBytes)) ?? ''),
  };
}

/** `/proc/meminfo` (proc(5)): its kB are KiB. */
export function parseMemoryInformation(text: string): Memory {
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}: +(\\d{1,12}) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { total: bytes('MemTotal'), available: bytes('MemAvailable') };
}
