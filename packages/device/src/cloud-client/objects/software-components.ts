// SPDX-License-Identifier: Apache-2.0
import { componentNames } from '@mbl/formats';
import { objectInstance, softwareComponentModel } from '@mbl/lwm2m';
import { Cached } from './cached.ts';
import type { DeviceObject, ObjectOptions } from './object.ts';

/**
 * What the device runs, as it was measured: the firmware by the bytes in its bank, the kernel by what it says of itself. The root's version is
 * what it says, and its root hash says which root that is (object 33400).
 */
export function softwareComponents({ image, platform, log, now }: ObjectOptions): DeviceObject {
  const measured = new Cached(() => platform.getComponents(), { now, log });
  const versions = {
    'boot-firmware': measured.show(({ version }) => version),
    kernel: measured.show(({ kernel }) => (kernel === '' ? undefined : kernel)),
    root: image.components.root.version,
  } as const;
  const instances = componentNames.map((name, index) =>
    objectInstance(softwareComponentModel, index, {
      componentIdentity: name,
      componentVersion: versions[name],
    }),
  );
  return { instances };
}
