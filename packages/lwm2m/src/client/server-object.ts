// SPDX-License-Identifier: Apache-2.0
import type { Lwm2mValue } from '../values.ts';
import { isSingle } from '../values.ts';
import type { ReportingInstance, Resource } from './object-instance.ts';
import { objectInstance } from './object-instance.ts';

export interface ServerObjectOptions {
  instanceId?: number;
  shortServerId?: number;
  /** Seconds; the server may write another. */
  lifetime: number;
  binding?: string;
  /** Called with what the server writes, to keep it: 1 lifetime, 2 pmin, 3 pmax, 6 storing, 7 binding. Refuses it by an `Lwm2mError`. */
  onWrite?(resourceId: number, value: Lwm2mValue): void;
}

/** An instance of object 1 that holds its writable resources in memory. The client itself does 1/x/8. */
export function serverObject(options: ServerObjectOptions): ReportingInstance {
  const held = (resourceId: number, initial?: Lwm2mValue): Resource => {
    let value = initial;
    return {
      read: () => value,
      reset() {
        value = initial;
      },
      write(written) {
        if (!isSingle(written)) return;
        options.onWrite?.(resourceId, written);
        value = written;
      },
    };
  };
  return objectInstance(1, options.instanceId ?? 0, {
    0: options.shortServerId ?? 1,
    1: held(1, options.lifetime),
    2: held(2),
    3: held(3),
    6: held(6, true),
    7: held(7, options.binding ?? 'T'),
    8: { execute: () => undefined },
  });
}
