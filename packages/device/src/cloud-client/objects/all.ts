// SPDX-License-Identifier: Apache-2.0
import type { ObjectInstance } from '@mbl/lwm2m';
import { appsObject } from './apps.ts';
import { boardObject } from './board.ts';
import { connectivityObject } from './connectivity.ts';
import { deviceObject } from './device.ts';
import { firmwareUpdateObject } from './firmware-update.ts';
import type { DeviceObject, ObjectOptions } from './object.ts';
import { securityObject } from './security.ts';
import { serverSettings } from './server.ts';
import { softwareComponents } from './software-components.ts';

/** Every object of the device, each a file beside this one. */
const makers: readonly ((options: ObjectOptions) => DeviceObject)[] = [
  securityObject,
  serverSettings,
  deviceObject,
  connectivityObject,
  softwareComponents,
  boardObject,
  firmwareUpdateObject,
  appsObject,
];

/** The device as LwM2M shows it, and a way to report what changed by itself. */
export interface DeviceObjects {
  readonly all: readonly ObjectInstance[];
  /** Asks the platform anew and reports what differs to observers. */
  refresh(): Promise<void>;
}

export function deviceObjects(options: ObjectOptions): DeviceObjects {
  const objects = makers.map((make) => make(options));
  return {
    all: objects.flatMap(({ instances }) => instances),
    refresh: async () => {
      await Promise.all(objects.map(async (object) => await object.refresh?.()));
    },
  };
}
