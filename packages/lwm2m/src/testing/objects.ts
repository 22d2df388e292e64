// SPDX-License-Identifier: Apache-2.0
import type { ReportingInstance } from '../client/numbered-instance.ts';
import { numberedInstance } from '../client/numbered-instance.ts';
import type { ExecuteArguments } from '../execute-arguments.ts';
import type { Lwm2mValue, ResourceValue } from '../values.ts';

/** Object 3 with values a test changes. */
export interface TestDevice {
  instance: ReportingInstance;
  /** By resource; call `instance.changed` after changing one. */
  values: Map<number, ResourceValue>;
  executed: [number, ExecuteArguments][];
}

export function testDevice(): TestDevice {
  const values = new Map<number, ResourceValue>([
    [9, 80],
    [11, new Map<number, Lwm2mValue>([[0, 0]])],
    [13, 1_367_491_215],
    [14, '+02:00'],
  ]);
  const executed: [number, ExecuteArguments][] = [];
  const held = (id: number): { read(): ResourceValue | undefined; write(value: ResourceValue): void } => ({
    read: () => values.get(id),
    write: (value) => void values.set(id, value),
  });
  const instance = numberedInstance(3, 0, {
    0: 'ARM',
    1: 'MBL',
    4: { execute: (args) => void executed.push([4, args]) },
    9: { read: () => values.get(9) },
    11: { read: () => values.get(11) },
    13: held(13),
    14: held(14),
    16: 'T',
  });
  return { instance, values, executed };
}

export function component(instanceId: number, identity: string, version: string): ReportingInstance {
  return numberedInstance(14, instanceId, { 0: identity, 1: Uint8Array.of(1, 2, 3), 2: version });
}
