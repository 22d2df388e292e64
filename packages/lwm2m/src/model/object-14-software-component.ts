// SPDX-License-Identifier: Apache-2.0
import { defineObject } from './definition.ts';

/** urn:oma:lwm2m:oma:14, OMA LWM2M Software Management. */
export const softwareComponentModel = defineObject({
  id: 14,
  name: 'LWM2M Software Component',
  version: '1.0',
  multiple: true,
  mandatory: false,
  resources: {
    componentIdentity: [0, 'Component Identity', 'R', 'single', 'optional', 'string'],
    componentPack: [1, 'Component Pack', 'R', 'single', 'optional', 'opaque'],
    componentVersion: [2, 'Component Version', 'R', 'single', 'optional', 'string'],
    activate: [3, 'Activate', 'E', 'single', 'optional', 'none'],
    deactivate: [4, 'Deactivate', 'E', 'single', 'optional', 'none'],
    activationStatus: [5, 'Activation Status', 'R', 'single', 'optional', 'boolean'],
  },
});
