// SPDX-License-Identifier: Apache-2.0
import { verb } from '../../verb.ts';
import { device as deviceArgument } from '../../parameters.ts';

/** Removes a device from the directory: its connection ends, and its certificate is no longer accepted. */
export const deleteDevice = verb({
  name: 'delete',
  description: 'remove a device from the directory; its certificate is no longer accepted',
  arguments: { device: deviceArgument },
  async run(cli, given) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
    await client.deleteDevice(device.id, { signal });
    output.value({ device: device.id, endpoint_name: device.endpoint_name });
    output.line(`${device.endpoint_name} is no longer in the directory`);
  },
});
