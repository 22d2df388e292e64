// SPDX-License-Identifier: Apache-2.0
import type { Node, Registration } from '@mbl/lwm2m';
import type { NamedDevice } from '../devices/directory.ts';
import type { DeviceIdentity } from './connections.ts';

/** What happens to a device and concerns whoever holds something of it: the events of an emitter, heard in the turn in which they happen. */
export interface DeviceSignals {
  /** It registered, or showed its registration on another connection: what was observed before is over. */
  reachable: [device: Registration<DeviceIdentity>];
  /** It reported values by itself. */
  sent: [device: DeviceIdentity, nodes: readonly Node[]];
  /** Its registration ended. */
  gone: [device: DeviceIdentity];
  /** It lost its right to be here, for a reason that it is told. */
  revoked: [device: NamedDevice, reason: string];
}
