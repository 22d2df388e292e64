// SPDX-License-Identifier: Apache-2.0
import { objectInstance, securityModel } from '@mbl/lwm2m';
import { type DeviceObject, type ObjectOptions, shortServerId } from './object.ts';

/** LwM2M Core 1.1 Appendix E.1, resource 2: certificate. */
const certificateMode = 2;

/** Out of every server's reach; the private key is not even here. */
export function securityObject({ factory: { service } }: ObjectOptions): DeviceObject {
  const none = Buffer.alloc(0);
  const instance = objectInstance(securityModel, 0, {
    lwm2mServerUri: service.lwm2m,
    bootstrapServer: false,
    securityMode: certificateMode,
    publicKeyOrIdentity: none,
    serverPublicKey: none,
    secretKey: none,
    shortServerId,
    sni: service.serverName,
  });
  return { instances: [instance] };
}
