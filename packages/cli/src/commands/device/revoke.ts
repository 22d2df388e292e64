// SPDX-License-Identifier: Apache-2.0
import { verb } from '../../verb.ts';
import { device as deviceArgument } from '../../parameters.ts';

/** Revokes the certificates of a device: its connection ends, and it is refused from now on. */
export const revokeDevice = verb({
  name: 'revoke',
  description: 'revoke the certificate of a device: it is refused from now on',
  arguments: { device: deviceArgument },
  async run(cli, given) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
    const revoked = await client.revokeCertificates(device.id, 'revoked by its owner', { signal });
    output.value({ device: device.id, revoked });
    output.line(`${revoked} certificate${revoked === 1 ? '' : 's'} of ${device.endpoint_name} revoked`);
  },
});
