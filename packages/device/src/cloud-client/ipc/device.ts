// SPDX-License-Identifier: Apache-2.0
import { access } from 'node:fs/promises';
import type { FactoryConfiguration, ImageIdentity } from '@mbl/formats';
import type { Log } from '../../common/log.ts';
import type { Platform } from '../../platform/contract.ts';
import { Cached } from '../objects/cached.ts';
import { BusError } from './bus-error.ts';
import type { Deferrals } from './deferrals.ts';
import type { BusCaller, Served } from './dispatch.ts';
import { deviceInterface } from './interfaces.ts';

export interface DeviceFacts {
  readonly factory: Pick<FactoryConfiguration, 'endpointName'>;
  readonly image: ImageIdentity;
  readonly platform: Pick<Platform, 'getNetwork'>;
  readonly deferrals: Deferrals;
  /** There once the clock was set by NTP: systemd-timesyncd.service(8). */
  readonly synchronized: string;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

type Methods = keyof typeof deviceInterface.methods;

/** `com.mbl.Device1`. */
export function serveDevice(facts: DeviceFacts): Served {
  const { factory, image, platform, deferrals, synchronized, log, now } = facts;
  const network = new Cached(() => platform.getNetwork(), { now, log });
  const { components } = image;
  const properties: Record<string, string> = {
    EndpointName: factory.endpointName,
    Machine: image.machine,
    Image: image.image,
    BuildId: image.buildId,
    SystemVersion: components.root.version,
    KernelVersion: components.kernel.version,
    FirmwareVersion: components['boot-firmware'].version,
  } satisfies Record<keyof typeof deviceInterface.properties, string>;
  const methods: Record<
    Methods,
    (caller: BusCaller, args: readonly never[]) => readonly unknown[] | Promise<readonly unknown[]>
  > = {
    GetTime: async () => [
      Math.floor(now()),
      await access(synchronized).then(
        () => true,
        () => false,
      ),
    ],
    GetNetwork: async () => {
      const found = await network.get();
      if (found === undefined) throw new BusError('Unavailable', 'the platform service does not answer');
      return [found.interfaces.map(({ name, kind, addresses }) => [name, kind, addresses])];
    },
    DeferRestart: ({ uid, app }, [seconds, reason]: readonly unknown[]) => [
      deferrals.ask(uid, app.app, seconds as number, reason as string),
    ],
  };
  return {
    interface: deviceInterface,
    call: (caller, member, args) => methods[member as Methods](caller, args as readonly never[]),
    property: (name) => properties[name],
  };
}
