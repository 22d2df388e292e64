// SPDX-License-Identifier: Apache-2.0
import { required, verb } from '../../verb.ts';
import { device as deviceArgument, resourcePath } from '../../parameters.ts';

export const writeResource = verb({
  name: 'write',
  description: 'write a resource of a device',
  arguments: {
    device: deviceArgument,
    path: required('the resource, for example /1/0/1', resourcePath),
    value: required('the value, as text'),
  },
  async run(cli, { path, value, ...given }) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
    await output.progress.wait(
      `write ${path} of ${device.endpoint_name}`,
      async () => await client.write(device.id, path, value, { signal }),
    );
    output.value({ device: device.id, path, value });
    output.line(`${device.endpoint_name} ${path} is now ${value}`);
  },
});
