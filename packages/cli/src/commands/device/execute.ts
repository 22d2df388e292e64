// SPDX-License-Identifier: Apache-2.0
import { optional, required, verb } from '../../verb.ts';
import { device as deviceArgument, resourcePath } from '../../parameters.ts';

export const executeResource = verb({
  name: 'execute',
  description: 'execute a resource of a device',
  arguments: {
    device: deviceArgument,
    path: required('the resource, for example /3/0/4', resourcePath),
    arguments: optional("its arguments as in LwM2M, for example 0='text'"),
  },
  async run(cli, { path, arguments: args, ...given }) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
    await output.progress.wait(
      `execute ${path} of ${device.endpoint_name}`,
      async () => await client.execute(device.id, path, args, { signal }),
    );
    output.value({ device: device.id, path, ...(args === undefined ? {} : { arguments: args }) });
    output.line(`${device.endpoint_name} executed ${path}`);
  },
});
