// SPDX-License-Identifier: Apache-2.0
import { verb } from '../../verb.ts';
import { device as deviceArgument } from '../../parameters.ts';

/** LwM2M Core 1.1, Appendix E.4: object Device, resource Reboot. */
const reboot = '/3/0/4';

export const rebootDevice = verb({
  name: 'reboot',
  description: 'have a device restart',
  arguments: { device: deviceArgument },
  async run(cli, given) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
    await output.progress.wait(
      `ask ${device.endpoint_name} to restart`,
      async () => await client.execute(device.id, reboot, undefined, { signal }),
    );
    output.value({ device: device.id });
    output.line(
      `${device.endpoint_name} restarts. See it come back: ./mbl device events --follow ${device.endpoint_name}`,
    );
  },
});
