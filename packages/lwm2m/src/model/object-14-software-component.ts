// SPDX-License-Identifier: Apache-2.0
import type { ObjectDefinition } from './definition.ts';
import { resourceTable } from './definition.ts';

/** urn:oma:lwm2m:oma:14, OMA LWM2M Software Management. */
export const softwareComponent: ObjectDefinition = {
  id: 14,
  name: 'LWM2M Software Component',
  version: '1.0',
  multiple: true,
  mandatory: false,
  resources: resourceTable([
    [0, 'Component Identity', 'R', 'single', 'optional', 'string'],
    [1, 'Component Pack', 'R', 'single', 'optional', 'opaque'],
    [2, 'Component Version', 'R', 'single', 'optional', 'string'],
    [3, 'Activate', 'E', 'single', 'optional', 'none'],
    [4, 'Deactivate', 'E', 'single', 'optional', 'none'],
    [5, 'Activation Status', 'R', 'single', 'optional', 'boolean'],
  ]),
};
