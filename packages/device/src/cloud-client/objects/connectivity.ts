// SPDX-License-Identifier: Apache-2.0
import { connectivityMonitoringModel, objectInstance } from '@mbl/lwm2m';
import type { InterfaceKind } from '../../platform/network.ts';
import { Cached, instancesOf } from './cached.ts';
import type { DeviceObject, ObjectOptions } from './object.ts';

/** LwM2M Core 1.1 Appendix E.5, resource 0. */
const bearers: Readonly<Record<InterfaceKind, number>> = {
  cellular: 6,
  wifi: 21,
  ethernet: 41,
  other: 43,
};

/** How the device is on the network. */
export function connectivityObject({ platform, log, now }: ObjectOptions): DeviceObject {
  const network = new Cached(() => platform.getNetwork(), { now, log });
  const each = <V>(values: readonly V[]) => instancesOf(new Set(values));
  const instance = objectInstance(connectivityMonitoringModel, 0, {
    networkBearer: network.show(({ interfaces }) => bearers[interfaces[0]?.kind ?? 'other']),
    availableNetworkBearer: network.show(({ interfaces }) =>
      each(interfaces.map(({ kind }) => bearers[kind])),
    ),
    // Mandatory, and without meaning for a cable.
    radioSignalStrength: 0,
    ipAddresses: network.show(({ interfaces }) => each(interfaces.flatMap(({ addresses }) => addresses))),
    routerIpAddresses: network.show(({ routers }) => each(routers)),
  });
  const changing = ['networkBearer', 'availableNetworkBearer', 'ipAddresses', 'routerIpAddresses'] as const;
  const changed = () => {
    for (const name of changing) instance.changed(name);
  };
  return { instances: [instance], refresh: () => network.refresh(changed) };
}
