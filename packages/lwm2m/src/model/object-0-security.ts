// SPDX-License-Identifier: Apache-2.0
import type { ObjectDefinition } from './definition.ts';
import { resourceTable } from './definition.ts';

/** urn:oma:lwm2m:oma:0:1.1, LwM2M Core 1.1 Appendix E.1. No server may reach it (§6.3). */
export const security: ObjectDefinition = {
  id: 0,
  name: 'LWM2M Security',
  version: '1.1',
  multiple: true,
  mandatory: true,
  resources: resourceTable([
    [0, 'LWM2M Server URI', '', 'single', 'mandatory', 'string'],
    [1, 'Bootstrap-Server', '', 'single', 'mandatory', 'boolean'],
    [2, 'Security Mode', '', 'single', 'mandatory', 'integer'],
    [3, 'Public Key or Identity', '', 'single', 'mandatory', 'opaque'],
    [4, 'Server Public Key', '', 'single', 'mandatory', 'opaque'],
    [5, 'Secret Key', '', 'single', 'mandatory', 'opaque'],
    [6, 'SMS Security Mode', '', 'single', 'optional', 'integer'],
    [7, 'SMS Binding Key Parameters', '', 'single', 'optional', 'opaque'],
    [8, 'SMS Binding Secret Key(s)', '', 'single', 'optional', 'opaque'],
    [9, 'LwM2M Server SMS Number', '', 'single', 'optional', 'string'],
    [10, 'Short Server ID', '', 'single', 'optional', 'integer'],
    [11, 'Client Hold Off Time', '', 'single', 'optional', 'integer', 's'],
    [12, 'Bootstrap-Server Account Timeout', '', 'single', 'optional', 'integer', 's'],
    [13, 'Matching Type', '', 'single', 'optional', 'unsigned'],
    [14, 'SNI', '', 'single', 'optional', 'string'],
    [15, 'Certificate Usage', '', 'single', 'optional', 'unsigned'],
    [16, 'DTLS/TLS Ciphersuite', '', 'multiple', 'optional', 'unsigned'],
    [17, 'OSCORE Security Mode', '', 'single', 'optional', 'objlnk'],
  ]),
};
