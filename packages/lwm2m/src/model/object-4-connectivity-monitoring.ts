// SPDX-License-Identifier: Apache-2.0
import type { ObjectDefinition } from './definition.ts';
import { resourceTable } from './definition.ts';

/** urn:oma:lwm2m:oma:4:1.1, LwM2M Core 1.1 Appendix E.5. */
export const connectivityMonitoring: ObjectDefinition = {
  id: 4,
  name: 'Connectivity Monitoring',
  version: '1.1',
  multiple: false,
  mandatory: false,
  resources: resourceTable([
    [0, 'Network Bearer', 'R', 'single', 'mandatory', 'integer'],
    [1, 'Available Network Bearer', 'R', 'multiple', 'mandatory', 'integer'],
    [2, 'Radio Signal Strength', 'R', 'single', 'mandatory', 'integer', 'dBm'],
    [3, 'Link Quality', 'R', 'single', 'optional', 'integer'],
    [4, 'IP Addresses', 'R', 'multiple', 'mandatory', 'string'],
    [5, 'Router IP Addresses', 'R', 'multiple', 'optional', 'string'],
    [6, 'Link Utilization', 'R', 'single', 'optional', 'integer', '/100'],
    [7, 'APN', 'R', 'multiple', 'optional', 'string'],
    [8, 'Cell ID', 'R', 'single', 'optional', 'integer'],
    [9, 'SMNC', 'R', 'single', 'optional', 'integer'],
    [10, 'SMCC', 'R', 'single', 'optional', 'integer'],
  ]),
};
