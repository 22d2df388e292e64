// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { componentNames, type FactoryConfiguration, type ImageIdentity } from '@mbl/formats';
import {
  Lwm2mError,
  type Lwm2mValue,
  type ObjectInstance,
  objectInstance,
  type ReportingInstance,
  serverObject,
} from '@mbl/lwm2m';
import type { Log } from '../common/log.ts';
import type { Network, NetworkInterface, Platform } from '../platformd/interface.ts';
import type { ServerSettings } from './settings.ts';

export interface DeviceObjectsOptions {
  readonly factory: FactoryConfiguration;
  readonly image: ImageIdentity;
  readonly platform: Platform;
  readonly settings: ServerSettings;
  /** Keeps what the server writes into object 1; throws `Lwm2mError` to refuse it. */
  readonly keep: (resourceId: number, value: Lwm2mValue) => void;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The device as LwM2M shows it, and a way to report what changed by itself. */
export interface DeviceObjects {
  readonly all: readonly ObjectInstance[];
  /** Asks the platform anew and reports what differs to observers. */
  refresh(): Promise<void>;
}

const shortServerId = 1;
/** LwM2M Core 1.1 Appendix E.5, resource 0. */
const bearers: Readonly<Record<NetworkInterface['kind'], number>> = {
  cellular: 6,
  wifi: 21,
  ethernet: 41,
  other: 43,
};
/** LwM2M Core 1.1 Appendix E.1, resource 2: certificate. */
const certificateMode = 2;

/** Every object of the device; what else it shows is added here. */
export function deviceObjects(options: DeviceObjectsOptions): DeviceObjects {
  const device = deviceObject(options);
  const connectivity = connectivityObject(options);
  return {
    all: [
      securityObject(options.factory),
      serverObject({
        shortServerId,
        lifetime: options.settings.lifetime,
        binding: 'T',
        onWrite: options.keep,
      }),
      device.instance,
      connectivity.instance,
      ...componentNames.map((name, index) =>
        objectInstance(14, index, { 0: name, 2: options.image.components[name].version }),
      ),
    ],
    refresh: async () => {
      await Promise.all([device.refresh(), connectivity.refresh()]);
    },
  };
}

/** Out of every server's reach; the private key is not even here. */
function securityObject({ service }: FactoryConfiguration): ReportingInstance {
  const none = Buffer.alloc(0);
  return objectInstance(0, 0, {
    0: service.lwm2m,
    1: false,
    2: certificateMode,
    3: none,
    4: none,
    5: none,
    10: shortServerId,
    14: service.serverName,
  });
}

interface Refreshing {
  readonly instance: ReportingInstance;
  refresh(): Promise<void>;
}

function deviceObject({ factory, image, platform, log, now }: DeviceObjectsOptions): Refreshing {
  const memory = new Cached(() => platform.memory(), now, log);
  const kibibytes = async (which: 'total' | 'available') => {
    const found = await memory.get();
    return found === undefined ? undefined : Math.floor(found[which] / 1024);
  };
  const instance = objectInstance(3, 0, {
    0: 'MBL',
    1: image.machine,
    2: factory.serialNumber,
    3: image.components['boot-firmware'].version,
    4: {
      execute: async () => {
        log.warning('reboot ordered', { by: 'service' });
        await platform.reboot();
      },
    },
    10: { read: () => kibibytes('available') },
    // No error, as long as nothing on the device reports one (LwM2M Core 1.1 Appendix E.4).
    11: new Map([[0, 0]]),
    // The clock is set by NTP, not by the server, though Appendix E.4 would allow it.
    13: { read: () => Math.floor(now() / 1000), write: refuseWrite },
    16: 'T',
    17: image.image,
    19: `${image.components.root.version} ${image.buildId}`,
    21: { read: () => kibibytes('total') },
  });
  return { instance, refresh: () => memory.refresh(() => instance.changed(10)) };
}

function refuseWrite(): never {
  throw new Lwm2mError('device/read-only', 'this device does not let the server write it', {
    status: Code.METHOD_NOT_ALLOWED,
  });
}

function connectivityObject({ platform, log, now }: DeviceObjectsOptions): Refreshing {
  const network = new Cached(() => platform.network(), now, log);
  const from = (read: (found: Network) => Lwm2mValue | ReadonlyMap<number, Lwm2mValue>) => ({
    read: async () => {
      const found = await network.get();
      return found === undefined ? undefined : read(found);
    },
  });
  const list = (values: readonly Lwm2mValue[]) =>
    new Map([...new Set(values)].map((value, index) => [index, value]));
  const instance = objectInstance(4, 0, {
    0: from(({ interfaces }) => bearers[interfaces[0]?.kind ?? 'other']),
    1: from(({ interfaces }) => list(interfaces.map(({ kind }) => bearers[kind]))),
    // Mandatory, and without meaning for a cable.
    2: 0,
    4: from(({ interfaces }) => list(interfaces.flatMap(({ addresses }) => addresses))),
    5: from(({ routers }) => list(routers)),
  });
  return {
    instance,
    refresh: () =>
      network.refresh(() => {
        for (const id of [0, 1, 4, 5]) instance.changed(id);
      }),
  };
}

/** What the platform said, for a second: reading an object asks once, not once for each resource. */
class Cached<T> {
  readonly #ask: () => Promise<T>;
  readonly #now: () => number;
  readonly #log: Log;
  #asked = Number.NEGATIVE_INFINITY;
  #answer: Promise<T | undefined> = Promise.resolve(undefined);

  constructor(ask: () => Promise<T>, now: () => number, log: Log) {
    this.#ask = ask;
    this.#now = now;
    this.#log = log;
  }

  /** Undefined when the platform does not answer: the resource has no value then. */
  get(): Promise<T | undefined> {
    if (Math.abs(this.#now() - this.#asked) < 1000) return this.#answer;
    this.#asked = this.#now();
    this.#answer = this.#ask().catch((error: unknown) => {
      this.#log.warning('platform unavailable', {
        reason: error instanceof Error ? error.message : String(error),
      });
      return undefined;
    });
    return this.#answer;
  }

  async refresh(changed: () => void): Promise<void> {
    const before = await this.#answer;
    const after = await this.get();
    if (after !== undefined && JSON.stringify(before) !== JSON.stringify(after)) changed();
  }
}
