// SPDX-License-Identifier: Apache-2.0
import { serverObject } from '@mbl/lwm2m';
import { type DeviceObject, type ObjectOptions, shortServerId } from './object.ts';

/** How the device is to stay registered; the service may write it. */
export function serverSettings({ settings, keep }: ObjectOptions): DeviceObject {
  const { lifetime } = settings;
  return { instances: [serverObject({ shortServerId, lifetime, binding: 'T', onWrite: keep })] };
}
