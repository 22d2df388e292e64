// SPDX-License-Identifier: Apache-2.0
import { defineObject } from './definition.ts';

/** urn:oma:lwm2m:oma:3:1.1, LwM2M Core 1.1 Appendix E.4. */
export const deviceModel = defineObject({
  id: 3,
  name: 'Device',
  version: '1.1',
  multiple: false,
  mandatory: true,
  resources: {
    manufacturer: [0, 'Manufacturer', 'R', 'single', 'optional', 'string'],
    modelNumber: [1, 'Model Number', 'R', 'single', 'optional', 'string'],
    serialNumber: [2, 'Serial Number', 'R', 'single', 'optional', 'string'],
    firmwareVersion: [3, 'Firmware Version', 'R', 'single', 'optional', 'string'],
    reboot: [4, 'Reboot', 'E', 'single', 'mandatory', 'none'],
    factoryReset: [5, 'Factory Reset', 'E', 'single', 'optional', 'none'],
    availablePowerSources: [6, 'Available Power Sources', 'R', 'multiple', 'optional', 'integer'],
    powerSourceVoltage: [7, 'Power Source Voltage', 'R', 'multiple', 'optional', 'integer', 'mV'],
    powerSourceCurrent: [8, 'Power Source Current', 'R', 'multiple', 'optional', 'integer', 'mA'],
    batteryLevel: [9, 'Battery Level', 'R', 'single', 'optional', 'integer', '/100'],
    memoryFree: [10, 'Memory Free', 'R', 'single', 'optional', 'integer', 'KiB'],
    errorCode: [11, 'Error Code', 'R', 'multiple', 'mandatory', 'integer'],
    resetErrorCode: [12, 'Reset Error Code', 'E', 'single', 'optional', 'none'],
    currentTime: [13, 'Current Time', 'RW', 'single', 'optional', 'time'],
    utcOffset: [14, 'UTC Offset', 'RW', 'single', 'optional', 'string'],
    timezone: [15, 'Timezone', 'RW', 'single', 'optional', 'string'],
    supportedBindingAndModes: [16, 'Supported Binding and Modes', 'R', 'single', 'mandatory', 'string'],
    deviceType: [17, 'Device Type', 'R', 'single', 'optional', 'string'],
    hardwareVersion: [18, 'Hardware Version', 'R', 'single', 'optional', 'string'],
    softwareVersion: [19, 'Software Version', 'R', 'single', 'optional', 'string'],
    batteryStatus: [20, 'Battery Status', 'R', 'single', 'optional', 'integer'],
    memoryTotal: [21, 'Memory Total', 'R', 'single', 'optional', 'integer', 'KiB'],
    extDevInfo: [22, 'ExtDevInfo', 'R', 'multiple', 'optional', 'objlnk'],
  },
});
