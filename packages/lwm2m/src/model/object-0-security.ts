// SPDX-License-Identifier: Apache-2.0
import { defineObject } from './definition.ts';

/** urn:oma:lwm2m:oma:0:1.1, LwM2M Core 1.1 Appendix E.1. No server may reach it (§6.3). */
export const securityModel = defineObject({
  id: 0,
  name: 'LWM2M Security',
  version: '1.1',
  multiple: true,
  mandatory: true,
  resources: {
    lwm2mServerUri: [0, 'LWM2M Server URI', '', 'single', 'mandatory', 'string'],
    bootstrapServer: [1, 'Bootstrap-Server', '', 'single', 'mandatory', 'boolean'],
    securityMode: [2, 'Security Mode', '', 'single', 'mandatory', 'integer'],
    publicKeyOrIdentity: [3, 'Public Key or Identity', '', 'single', 'mandatory', 'opaque'],
    serverPublicKey: [4, 'Server Public Key', '', 'single', 'mandatory', 'opaque'],
    secretKey: [5, 'Secret Key', '', 'single', 'mandatory', 'opaque'],
    smsSecurityMode: [6, 'SMS Security Mode', '', 'single', 'optional', 'integer'],
    smsBindingKeyParameters: [7, 'SMS Binding Key Parameters', '', 'single', 'optional', 'opaque'],
    smsBindingSecretKeys: [8, 'SMS Binding Secret Key(s)', '', 'single', 'optional', 'opaque'],
    lwM2mServerSmsNumber: [9, 'LwM2M Server SMS Number', '', 'single', 'optional', 'string'],
    shortServerId: [10, 'Short Server ID', '', 'single', 'optional', 'integer'],
    clientHoldOffTime: [11, 'Client Hold Off Time', '', 'single', 'optional', 'integer', 's'],
    bootstrapServerAccountTimeout: [
      12,
      'Bootstrap-Server Account Timeout',
      '',
      'single',
      'optional',
      'integer',
      's',
    ],
    matchingType: [13, 'Matching Type', '', 'single', 'optional', 'unsigned'],
    sni: [14, 'SNI', '', 'single', 'optional', 'string'],
    certificateUsage: [15, 'Certificate Usage', '', 'single', 'optional', 'unsigned'],
    dtlsTlsCiphersuite: [16, 'DTLS/TLS Ciphersuite', '', 'multiple', 'optional', 'unsigned'],
    oscoreSecurityMode: [17, 'OSCORE Security Mode', '', 'single', 'optional', 'objlnk'],
  },
});
