// SPDX-License-Identifier: Apache-2.0
import { defineObject } from './definition.ts';

/** urn:oma:lwm2m:oma:5:1.1, LwM2M Core 1.1 Appendix E.6. */
export const firmwareUpdateModel = defineObject({
  id: 5,
  name: 'Firmware Update',
  version: '1.1',
  multiple: false,
  mandatory: false,
  resources: {
    package: [0, 'Package', 'W', 'single', 'mandatory', 'opaque'],
    packageUri: [1, 'Package URI', 'RW', 'single', 'mandatory', 'string'],
    update: [2, 'Update', 'E', 'single', 'mandatory', 'none'],
    state: [3, 'State', 'R', 'single', 'mandatory', 'integer'],
    updateResult: [5, 'Update Result', 'R', 'single', 'mandatory', 'integer'],
    pkgName: [6, 'PkgName', 'R', 'single', 'optional', 'string'],
    pkgVersion: [7, 'PkgVersion', 'R', 'single', 'optional', 'string'],
    firmwareUpdateProtocolSupport: [
      8,
      'Firmware Update Protocol Support',
      'R',
      'multiple',
      'optional',
      'integer',
    ],
    firmwareUpdateDeliveryMethod: [
      9,
      'Firmware Update Delivery Method',
      'R',
      'single',
      'mandatory',
      'integer',
    ],
  },
});
