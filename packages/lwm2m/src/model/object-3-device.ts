// SPDX-License-Identifier: Apache-2.0
import type { ObjectDefinition } from './definition.ts';
import { resourceTable } from './definition.ts';

/** urn:oma:lwm2m:oma:3:1.1, LwM2M Core 1.1 Appendix E.4. */
export const device: ObjectDefinition = {
  id: 3,
  name: 'Device',
  version: '1.1',
  multiple: false,
  mandatory: true,
  resources: resourceTable([
    [0, 'Manufacturer', 'R', 'single', 'optional', 'string'],
    [1, 'Model Number', 'R', 'single', 'optional', 'string'],
    [2, 'Serial Number', 'R', 'single', 'optional', 'string'],
    [3, 'Firmware Version', 'R', 'single', 'optional', 'string'],
    [4, 'Reboot', 'E', 'single', 'mandatory', 'none'],
    [5, 'Factory Reset', 'E', 'single', 'optional', 'none'],
    [6, 'Available Power Sources', 'R', 'multiple', 'optional', 'integer'],
    [7, 'Power Source Voltage', 'R', 'multiple', 'optional', 'integer', 'mV'],
    [8, 'Power Source Current', 'R', 'multiple', 'optional', 'integer', 'mA'],
    [9, 'Battery Level', 'R', 'single', 'optional', 'integer', '/100'],
    [10, 'Memory Free', 'R', 'single', 'optional', 'integer', 'KiB'],
    [11, 'Error Code', 'R', 'multiple', 'mandatory', 'integer'],
    [12, 'Reset Error Code', 'E', 'single', 'optional', 'none'],
    [13, 'Current Time', 'RW', 'single', 'optional', 'time'],
    [14, 'UTC Offset', 'RW', 'single', 'optional', 'string'],
    [15, 'Timezone', 'RW', 'single', 'optional', 'string'],
    [16, 'Supported Binding and Modes', 'R', 'single', 'mandatory', 'string'],
    [17, 'Device Type', 'R', 'single', 'optional', 'string'],
    [18, 'Hardware Version', 'R', 'single', 'optional', 'string'],
    [19, 'Software Version', 'R', 'single', 'optional', 'string'],
    [20, 'Battery Status', 'R', 'single', 'optional', 'integer'],
    [21, 'Memory Total', 'R', 'single', 'optional', 'integer', 'KiB'],
    [22, 'ExtDevInfo', 'R', 'multiple', 'optional', 'objlnk'],
  ]),
};
