// SPDX-License-Identifier: Apache-2.0
import type { FactoryConfiguration, ImageIdentity } from '@mbl/formats';
import type { Lwm2mValue, ObjectInstance } from '@mbl/lwm2m';
import type { Log } from '../../common/log.ts';
import type { Platform } from '../../platform/contract.ts';
import type { RestartDeferrals } from '../ipc/deferrals.ts';
import type { ServerSettings } from '../settings.ts';
import type { AppUpdater } from '../apps/updater.ts';
import type { UpdateMemory } from '../update/memory.ts';
import type { OrderDoor } from '../update/order-door.ts';
import type { Repository } from '../update/repository.ts';

/** What objects show, and what they act on. */
export interface ObjectOptions {
  readonly factory: FactoryConfiguration;
  readonly image: ImageIdentity;
  readonly platform: Platform;
  /** Where releases come from. */
  readonly repository: Repository;
  readonly updates: UpdateMemory;
  /** A folder for packages on their way: nothing else is in it. */
  readonly packages: string;
  /** Where somebody at the board orders an update. */
  readonly orders: Pick<OrderDoor, 'serve' | 'changed'>;
  /** Brings apps. */
  readonly apps: AppUpdater;
  /** Apps that ask for a restart to wait. */
  readonly deferrals: RestartDeferrals;
  readonly settings: ServerSettings;
  /** Keeps what the server writes into object 1, over a power cut once it resolved; throws `Lwm2mError` to refuse it. */
  readonly keep: (resourceId: number, value: Lwm2mValue) => Promise<void>;
  readonly log: Log;
  /** Aborted when the client ends. */
  readonly stopped: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** An LwM2M object of the device. */
export interface DeviceObject {
  readonly instances: readonly ObjectInstance[];
  /** Asks the platform anew and reports what differs to observers; absent where nothing changes by itself. */
  refresh?(): Promise<void>;
}

/** LwM2M Core 1.1 Appendix E.1, resource 10: the device has one server. */
export const shortServerId = 1;
