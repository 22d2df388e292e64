// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { deviceModel, Lwm2mError, objectInstance } from '@mbl/lwm2m';
import { Cached } from './cached.ts';
import type { DeviceObject, ObjectOptions } from './object.ts';

/** The board, its image and its memory. */
export function deviceObject({ factory, image, platform, log, now }: ObjectOptions): DeviceObject {
  const memory = new Cached(() => platform.getMemory(), { now, log });
  const kibibytes = (bytes: number) => Math.floor(bytes / 1024);
  const instance = objectInstance(deviceModel, 0, {
    manufacturer: 'MBL',
    modelNumber: image.machine,
    serialNumber: factory.serialNumber,
    firmwareVersion: image.components['boot-firmware'].version,
    reboot: {
      execute: async () => {
        log.warning('reboot ordered', { by: 'service' });
        await platform.reboot();
      },
    },
    memoryFree: memory.show(({ available }) => kibibytes(available)),
    // No error, as long as nothing on the device reports one (LwM2M Core 1.1 Appendix E.4).
    errorCode: new Map([[0, 0]]),
    // The clock is set by NTP, not by the server, though Appendix E.4 would allow it.
    currentTime: { read: () => Math.floor(now() / 1000), write: refuseWrite },
    supportedBindingAndModes: 'T',
    deviceType: image.image,
    softwareVersion: `${image.components.root.version} ${image.buildId}`,
    memoryTotal: memory.show(({ total }) => kibibytes(total)),
  });
  return { instances: [instance], refresh: () => memory.refresh(() => instance.changed('memoryFree')) };
}

function refuseWrite(): never {
  throw new Lwm2mError('device/read-only', 'this device does not let the server write it', {
    status: Code.METHOD_NOT_ALLOWED,
  });
}
