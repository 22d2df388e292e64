// SPDX-License-Identifier: Apache-2.0
import { defineObject } from './definition.ts';

/** urn:oma:lwm2m:oma:4:1.1, LwM2M Core 1.1 Appendix E.5. */
export const connectivityMonitoringModel = defineObject({
  id: 4,
  name: 'Connectivity Monitoring',
  version: '1.1',
  multiple: false,
  mandatory: false,
  resources: {
    networkBearer: [0, 'Network Bearer', 'R', 'single', 'mandatory', 'integer'],
    availableNetworkBearer: [1, 'Available Network Bearer', 'R', 'multiple', 'mandatory', 'integer'],
    radioSignalStrength: [2, 'Radio Signal Strength', 'R', 'single', 'mandatory', 'integer', 'dBm'],
    linkQuality: [3, 'Link Quality', 'R', 'single', 'optional', 'integer'],
    ipAddresses: [4, 'IP Addresses', 'R', 'multiple', 'mandatory', 'string'],
    routerIpAddresses: [5, 'Router IP Addresses', 'R', 'multiple', 'optional', 'string'],
    linkUtilization: [6, 'Link Utilization', 'R', 'single', 'optional', 'integer', '/100'],
    apn: [7, 'APN', 'R', 'multiple', 'optional', 'string'],
    cellId: [8, 'Cell ID', 'R', 'single', 'optional', 'integer'],
    smnc: [9, 'SMNC', 'R', 'single', 'optional', 'integer'],
    smcc: [10, 'SMCC', 'R', 'single', 'optional', 'integer'],
  },
});
