// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import type { Lwm2mValue } from '../values.ts';
import { serverModel } from '../model/object-1-server.ts';
import type { ObjectInstance } from './instance.ts';
import { objectInstance } from './object-instance.ts';

export interface ServerObjectOptions {
  instanceId?: number;
  shortServerId?: number;
  /** Seconds; the server may write another. */
  lifetime: number;
  binding?: string;
  /**
   * Called with what the server writes, to keep it: 1 lifetime, 2 pmin, 3 pmax, 7 binding. Refuses it by an `Lwm2mError`. The
   * server is answered, and the value counts, when the promise resolves.
   */
  onWrite?(resourceId: number, value: Lwm2mValue): unknown;
}

/** An instance of object 1 that holds its writable resources in memory. The client itself does 1/x/8. */
export function serverObject(options: ServerObjectOptions): ObjectInstance {
  const held = <Value extends Lwm2mValue>(resource: keyof typeof serverModel.rows, initial?: Value) => {
    let value = initial;
    return {
      read: () => value,
      reset() {
        value = initial;
      },
      async write(written: Value) {
        await options.onWrite?.(serverModel.rows[resource][0], written);
        value = written;
      },
    };
  };
  return objectInstance(serverModel, options.instanceId ?? 0, {
    shortServerId: options.shortServerId ?? 1,
    lifetime: held<number | bigint>('lifetime', options.lifetime),
    defaultMinimumPeriod: held<number | bigint>('defaultMinimumPeriod'),
    defaultMaximumPeriod: held<number | bigint>('defaultMaximumPeriod'),
    // An observation ends with its connection (RFC 8323 §7.4): there is nobody for whom a notification could be stored.
    notificationStoringWhenDisabledOrOffline: {
      read: () => false,
      reset() {},
      write(wanted) {
        if (!wanted) return;
        throw new Lwm2mError(
          'lwm2m/not-allowed',
          'this client stores no notifications: observe again, it tells the present value',
          {
            status: Code.METHOD_NOT_ALLOWED,
          },
        );
      },
    },
    binding: held<string>('binding', options.binding ?? 'T'),
    registrationUpdateTrigger: { execute: () => undefined },
  });
}
