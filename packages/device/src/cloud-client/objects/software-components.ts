// SPDX-License-Identifier: Apache-2.0
import { componentNames } from '@mbl/formats';
import { objectInstance, softwareComponentModel } from '@mbl/lwm2m';
import type { DeviceObject, ObjectOptions } from './object.ts';

/** What the image is made of. */
export function softwareComponents({ image }: ObjectOptions): DeviceObject {
  const instances = componentNames.map((name, index) =>
    objectInstance(softwareComponentModel, index, {
      componentIdentity: name,
      componentVersion: image.components[name].version,
    }),
  );
  return { instances };
}
