// SPDX-License-Identifier: Apache-2.0
import type { ObjectDefinition } from './definition.ts';
import { resourceTable } from './definition.ts';

/** urn:oma:lwm2m:oma:1:1.1, LwM2M Core 1.1 Appendix E.2. */
export const server: ObjectDefinition = {
  id: 1,
  name: 'LwM2M Server',
  version: '1.1',
  multiple: true,
  mandatory: true,
  resources: resourceTable([
    [0, 'Short Server ID', 'R', 'single', 'mandatory', 'integer'],
    [1, 'Lifetime', 'RW', 'single', 'mandatory', 'integer', 's'],
    [2, 'Default Minimum Period', 'RW', 'single', 'optional', 'integer', 's'],
    [3, 'Default Maximum Period', 'RW', 'single', 'optional', 'integer', 's'],
    [4, 'Disable', 'E', 'single', 'optional', 'none'],
    [5, 'Disable Timeout', 'RW', 'single', 'optional', 'integer', 's'],
    [6, 'Notification Storing When Disabled or Offline', 'RW', 'single', 'mandatory', 'boolean'],
    [7, 'Binding', 'RW', 'single', 'mandatory', 'string'],
    [8, 'Registration Update Trigger', 'E', 'single', 'mandatory', 'none'],
    [9, 'Bootstrap-Request Trigger', 'E', 'single', 'optional', 'none'],
    [10, 'APN Link', 'RW', 'single', 'optional', 'objlnk'],
    [11, 'TLS-DTLS Alert Code', 'R', 'single', 'optional', 'unsigned'],
    [12, 'Last Bootstrapped', 'R', 'single', 'optional', 'time'],
    [13, 'Registration Priority Order', 'R', 'single', 'optional', 'unsigned'],
    [14, 'Initial Registration Delay Timer', 'RW', 'single', 'optional', 'unsigned', 's'],
    [15, 'Registration Failure Block', 'R', 'single', 'optional', 'boolean'],
    [16, 'Bootstrap on Registration Failure', 'R', 'single', 'optional', 'boolean'],
    [17, 'Communication Retry Count', 'RW', 'single', 'optional', 'unsigned'],
    [18, 'Communication Retry Timer', 'RW', 'single', 'optional', 'unsigned', 's'],
    [19, 'Communication Sequence Delay Timer', 'RW', 'single', 'optional', 'unsigned', 's'],
    [20, 'Communication Sequence Retry Count', 'RW', 'single', 'optional', 'unsigned'],
    [21, 'Trigger', 'RW', 'single', 'optional', 'boolean'],
    [22, 'Preferred Transport', 'RW', 'single', 'optional', 'string'],
    [23, 'Mute Send', 'RW', 'single', 'optional', 'boolean'],
  ]),
};
