// SPDX-License-Identifier: Apache-2.0
import { device as deviceArgument } from '../../parameters.ts';
import { required, verb } from '../../verb.ts';

export const updateDevice = verb({
  name: 'update',
  description: 'bring a release of the operating system to a device, and wait until it has proved good',
  arguments: {
    device: deviceArgument,
    release: required(
      'its name, or for another server than the service: URL of the repository, a "#" and its name',
    ),
  },
  async run(cli, { release, ...given }) {
    const { bringRelease } = await import('../../workbench/bring-release.ts');
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
    const name = device.endpoint_name;
    const final = await output.progress.phase(
      `update ${name}`,
      async (report) => await bringRelease({ client, device, release, signal, report }),
    );
    output.value({ device: device.id, release: final.release });
    output.line(`${name} runs ${final.release}`);
  },
});
