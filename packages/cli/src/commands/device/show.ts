// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { verb } from '../../verb.ts';
import { device as deviceArgument } from '../../parameters.ts';

/** All that the directory holds of a device, and what the device registered. */
export const showDevice = verb({
  name: 'show',
  description: 'all that the directory knows of a device',
  arguments: { device: deviceArgument },
  async run(cli, given) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
    // One that is on line may not have registered yet, or no more: it has nothing to list.
    const resources = device.online
      ? await client.listResources(device.id, { signal }).catch((error: unknown) => {
          if (error instanceof MblError && error.details?.['status'] === 404) return [];
          throw error;
        })
      : [];
    output.value({ ...device, resources });
    output.table(
      [],
      Object.entries(device)
        .filter(([name, value]) => name !== 'object' && !isEmpty(value))
        .map(([name, value]) => [
          output.style('dim', name),
          typeof value === 'object' ? JSON.stringify(value) : String(value),
        ]),
    );
    if (resources.length === 0) return;
    output.line();
    output.line(`objects  ${resources.map(({ uri }) => uri).join(' ')}`);
  },
});

function isEmpty(value: unknown): boolean {
  if (value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
